"""Two models' answers to the same images: whether they really differ, and in which classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cars_bench.evaluation.metrics import Estimate, mcnemar, paired_bootstrap

SIGNIFICANT = 0.05
"""McNemar's exact test takes six images won and none lost at the least."""
LEAST_P = 0.001
"""Below it nobody reads the digits."""


class Marked(Protocol):
    """Answers that are known to be right or wrong: `Predictions`, and `Marks`."""

    @property
    def image_ids(self) -> Sequence[str]:
        """N unique images."""

    @property
    def true(self) -> Sequence[str]:
        """Name of each one's class."""

    @property
    def correct(self) -> np.ndarray:
        """Whether the answer is right, [N]; of several trainings the share that is, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Which images were named right, where the answers themselves were not kept.

    Attributes:
        image_ids: N unique images.
        true: Name of each one's class.
        correct: Whether the answer is right, [N]; of several trainings the share that is.
    """

    image_ids: Sequence[str]
    true: Sequence[str]
    correct: np.ndarray


@dataclass(frozen=True)
class ClassChange:
    """Recall of one class before and after.

    Attributes:
        name: The class.
        before: Recall before, 0 to 1.
        after: Recall after, 0 to 1.
        n: Images of the class after.
    """

    name: str
    before: float
    after: float
    n: int

    @property
    def change(self) -> float:
        """After less before, in [-1, 1]."""
        return self.after - self.before


@dataclass(frozen=True, kw_only=True)
class AnswersChanged:
    """One model's answers less another's, on the images that both answered.

    Attributes:
        images: How many those are.
        same_images: Whether neither answered another, and the classes are the same too.
        difference: Of top-1, in [-1, 1], with its 95% paired bootstrap interval; without
            common images nothing is known: 0, from -1 to 1.
        only_before: Images that only the first names right, or more often than the second.
        only_after: Images that only the second names right, or more often than the first.
        p_value: McNemar's exact test of these two numbers.
        classes: Recall of the classes that both know over all images of each, biggest gain first.
    """

    images: int
    same_images: bool
    difference: Estimate
    only_before: int
    only_after: int
    p_value: float
    classes: tuple[ClassChange, ...]

    @property
    def same_answers(self) -> bool:
        """Whether the very same images are named right."""
        return not (self.only_before or self.only_after)

    @property
    def evidence(self) -> str:
        """What `settled` was decided by, in words."""
        return evidence(self.difference.low, self.difference.high, self.p_value)

    @property
    def settled(self) -> bool:
        """Whether the two really differ: the interval leaves out 0, and the exact test agrees.

        On few images the bootstrap alone is too sure: four won and none lost of thirty
        leave out 0, and come by chance one time in eight.
        """
        apart = self.difference.low > 0 or self.difference.high < 0
        return apart and self.p_value < SIGNIFICANT


def evidence(low: float, high: float, p_value: float) -> str:
    """The two that a difference is settled by, in words: its interval, and the exact test."""
    chance = "p < 0.001" if p_value < LEAST_P else f"p = {p_value:.2g}"
    return f"95% interval {_points(low)} to {_points(high)}, McNemar's exact test {chance}"


def _points(share: float) -> str:
    """With its sign, and never `-0.0`."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def answers_changed(before: Marked, after: Marked) -> AnswersChanged:
    """Compare two models image by image.

    Args:
        before: The first's answers.
        after: The second's; `only_after` and positive differences are its gains.
    """
    old = _by_image(before)
    new = _by_image(after)
    common = sorted(old.keys() & new.keys())
    first = np.array([old[image][1] for image in common], np.float64)
    second = np.array([new[image][1] for image in common], np.float64)
    tested = mcnemar(first > second, second > first)
    return AnswersChanged(
        images=len(common),
        same_images=len(common) == len(old) == len(new)
        and all(old[image][0] == new[image][0] for image in common),
        difference=paired_bootstrap(first, second) if common else Estimate(0.0, -1.0, 1.0),
        only_before=tested.only_first,
        only_after=tested.only_second,
        p_value=tested.p_value,
        classes=_class_changes(before, after),
    )


def _by_image(answers: Marked) -> dict[str, tuple[str, float]]:
    """True class and whether, or how often, it was named, by image."""
    marks = zip(answers.true, answers.correct.tolist(), strict=True)
    return dict(zip(answers.image_ids, marks, strict=True))


def _class_changes(before: Marked, after: Marked) -> tuple[ClassChange, ...]:
    old = _recalls(before)
    new = _recalls(after)
    sizes = Counter(after.true)
    changes = [ClassChange(name, old[name], new[name], sizes[name]) for name in new if name in old]
    return tuple(sorted(changes, key=lambda item: (-item.change, item.name)))


def _recalls(answers: Marked) -> dict[str, float]:
    hits: dict[str, list[float]] = {}
    for name, right in zip(answers.true, answers.correct.tolist(), strict=True):
        hits.setdefault(name, []).append(float(right))
    return {name: sum(found) / len(found) for name, found in hits.items()}
