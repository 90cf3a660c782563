"""Pictures whose answer is right in one of two studies only, as each of them saw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cars_bench.data.dataset import evenly
from cars_bench.evaluation.comparison import AnswersChanged, Marked
from cars_bench.evaluation.predictions import Predictions
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.pictures import Thumbnails

SHOWN_RIGHT = 24
SHOWN_WRONG = 12
SIDE_PIXELS = 168
BUDGET_BYTES = 1_200_000

Crops = dict[str, tuple[str, str]]
"""An image as the first and as the second study saw it, as data URIs."""


@dataclass(frozen=True, kw_only=True)
class Turned:
    """One picture.

    Attributes:
        image_id: The image.
        true: Its class.
        first: What the first study answered; empty where only right or wrong was kept.
        second: What the second answered; likewise.
    """

    image_id: str
    true: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class TurnedFacts:
    """Those that only one study names right.

    Attributes:
        won: How many only the second names right.
        lost: How many only the first does.
        right: Of the former, some of every class.
        wrong: Of the latter, likewise.
    """

    won: int
    lost: int
    right: tuple[Turned, ...]
    wrong: tuple[Turned, ...]

    @property
    def shown(self) -> tuple[Turned, ...]:
        """All that are shown."""
        return self.right + self.wrong


def facts(first: Marked, second: Marked, changed: AnswersChanged) -> TurnedFacts:
    """Pick them, spread evenly over the classes rather than the best looking ones.

    Args:
        first: Answers of the first study.
        second: Answers of the second to images of the same names.
        changed: The second's less the first's.
    """
    return TurnedFacts(
        won=changed.only_after,
        lost=changed.only_before,
        right=tuple(_picked(first, second, changed.won, SHOWN_RIGHT)),
        wrong=tuple(_picked(first, second, changed.lost, SHOWN_WRONG)),
    )


def _picked(first: Marked, second: Marked, images: Sequence[str], most: int) -> Iterable[Turned]:
    true = dict(zip(second.image_ids, second.true, strict=True))
    before, after = map(_answers, (first, second))
    for image_id in evenly(sorted(images, key=lambda item: (true[item], item)), most):
        yield Turned(
            image_id=image_id,
            true=true[image_id],
            first=before.get(image_id, ""),
            second=after.get(image_id, ""),
        )


def _answers(answers: Marked) -> dict[str, str]:
    """The first answer to each image; none where only right or wrong was kept."""
    if not isinstance(answers, Predictions):
        return {}
    return dict(zip(answers.image_ids, answers.predicted, strict=True))


def figure(turned: TurnedFacts | None, first: Inputs, second: Inputs) -> Crops:
    """The shown pictures, each cut as the two studies' datasets are."""
    sides = [Thumbnails(inputs.dataset, BUDGET_BYTES) for inputs in (first, second)]
    one, other = sides
    return {
        item.image_id: (one.uri(item.image_id, SIDE_PIXELS), other.uri(item.image_id, SIDE_PIXELS))
        for item in (turned.shown if turned else ())
    }
