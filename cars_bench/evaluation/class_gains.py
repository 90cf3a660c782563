"""Which class needs more pictures: what the last doubling of the training pictures was worth.

A classifier of half of every class's training pictures is held against one of all of them, on
images that neither was taught.  What one class gained is drawn towards what all gained as
far as its few images cannot tell (empirical Bayes; Efron & Morris 1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from cars_bench.evaluation.metrics import Estimate, bootstrap

HALVES = 8
"""Times that a half is drawn anew."""
NORMAL_95 = 1.96

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassGain:
    """What one class is expected to gain from twice its pictures, in shares of its images.

    Attributes:
        label: Of the class.
        gain: With its 95% interval.
        n: Images that it was judged on.
    """

    label: int
    gain: Estimate
    n: int


@dataclass(frozen=True, kw_only=True)
class Doubling:
    """What the last doubling of the training pictures was worth.

    Attributes:
        half: Top-1 with half of the training pictures of every class.
        whole: With all of them.
        gain: `whole` less `half`, with its 95% bootstrap interval over images.
        classes: The same by class, the most gaining first.
        alike: Classes cannot be told apart: each is expected to gain the same.
        n: Images judged.
    """

    half: float
    whole: float
    gain: Estimate
    classes: tuple[ClassGain, ...]
    alike: bool
    n: int


def last_doubling(x: Floats, labels: Labels, taught: npt.NDArray[np.bool_], penalty: float,
                  seed: int = 0) -> Doubling | None:  # fmt: skip
    """Measure it; `None` where no class has two training pictures, or nothing can be judged.

    Args:
        x: float [N, D], standardised.
        labels: int [N].
        taught: bool [N]: the training images; the others are judged.
        penalty: Of the ridge regression, as a share of the number of images.
        seed: Of the halves.
    """
    rows = np.flatnonzero(taught)
    judged = ~taught
    generator = np.random.default_rng(seed)
    halves = [_half(labels, rows, generator) for _ in range(HALVES)]
    if not judged.any() or len(halves[0]) == len(rows):
        return None
    classes = int(labels.max()) + 1
    truth = labels[judged]
    answers = [
        _answers(x[chosen], labels[chosen], x[judged], classes, penalty) == truth
        for chosen in (rows, *halves)
    ]
    whole = answers[0].astype(float)
    half = np.mean(answers[1:], axis=0)
    found, alike = class_gains(whole - half, truth)
    return Doubling(
        half=float(half.mean()),
        whole=float(whole.mean()),
        gain=bootstrap(whole - half),
        classes=found,
        alike=alike,
        n=len(truth),
    )


def class_gains(changes: Floats, labels: Labels) -> tuple[tuple[ClassGain, ...], bool]:
    """The mean change of every class, drawn towards that of all, and whether all are alike.

    Args:
        changes: float [N], of each image.
        labels: int [N].
    """
    names, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.bincount(place, changes) / counts
    noise = float(((changes - means[place]) ** 2).sum() / max(len(changes) - len(names), 1))
    error = noise / counts
    overall = float(changes.mean())
    spread = _between(means, error, counts, overall)
    trust = spread / np.maximum(spread + error, np.finfo(float).tiny)
    drawn = overall + trust * (means - overall)
    reach = NORMAL_95 * np.sqrt(trust * error + (1 - trust) ** 2 * noise / len(changes))
    found = [
        ClassGain(
            label=int(name),
            gain=Estimate(float(value), float(value - half), float(value + half)),
            n=int(n),
        )
        for name, value, half, n in zip(names, drawn, reach, counts, strict=True)
    ]
    return tuple(sorted(found, key=lambda item: (-item.gain.value, item.label))), spread == 0


def _between(means: Floats, error: Floats, counts: Labels, overall: float) -> float:
    """Variance between classes beyond that of their few images (DerSimonian & Laird 1986)."""
    if len(means) == 1 or not error.any():
        return float(np.var(means))
    excess = float((counts * (means - overall) ** 2).sum() / error[0] / counts[0]) - len(means) + 1
    scale = float(counts.sum() - (counts**2).sum() / counts.sum())
    return max(0.0, excess * float(error[0] * counts[0]) / scale)


def _half(labels: Labels, rows: Labels, generator: np.random.Generator) -> Labels:
    """Half of each class's rows, rounded up, drawn at random."""
    shuffled = generator.permutation(rows)
    kept: Sequence[Labels] = [
        own[: -(-len(own) // 2)]
        for label in np.unique(labels[rows])
        for own in [shuffled[labels[shuffled] == label]]
    ]
    return np.concatenate(kept)


def _answers(x: Floats, labels: Labels, asked: Floats, classes: int, penalty: float) -> Labels:
    """What ridge regression on one-hot targets answers; by the smaller system of equations."""
    mean = x.mean(axis=0)
    centred = x - mean
    targets = np.eye(classes, dtype=x.dtype)[labels]
    wide = len(x) <= x.shape[1]
    gram = centred @ centred.T if wide else centred.T @ centred
    gram[np.diag_indices_from(gram)] += penalty * len(x)
    right = targets - targets.mean(axis=0)
    weights = linalg.solve(gram, right if wide else centred.T @ right, assume_a="pos")
    weights = centred.T @ weights if wide else weights
    scores = (asked - mean) @ weights + targets.mean(axis=0)
    return np.asarray(scores.argmax(axis=1), np.int64)
