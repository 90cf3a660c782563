"""Which classes are found, and which are taken for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cars_bench.evaluation.metrics import Estimate, wilson


@dataclass(frozen=True)
class ConfusedPair:
    """One kind of mistake.

    Attributes:
        true: Label of the right class.
        predicted: Label of the class answered instead.
        count: How many images of `true` were answered so.
        share: `count` over all images of `true`.
    """

    true: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True)
class ClassRecall:
    """How much of one class is found.

    Attributes:
        label: The class.
        recall: Share of its images answered right, with Wilson's 95% interval.
        n: Number of its images.
    """

    label: int
    recall: Estimate
    n: int


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 [C, C]: row the true class, column the answer.

    Args:
        labels: int [N], 0 to C - 1.
        predicted: int [N], 0 to C - 1.
        classes: C.

    Raises:
        ValueError: A label is out of range, or the lengths differ.
    """
    rows, columns = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    if rows.shape != columns.shape:
        raise ValueError(f"{len(rows)} labels and {len(columns)} answers")
    both = np.concatenate([rows, columns])
    if both.size and not (both.min() >= 0 and both.max() < classes):
        raise ValueError(f"a label is outside 0..{classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)


def most_confused(matrix: np.ndarray, count: int = 10) -> list[ConfusedPair]:
    """The `count` most frequent mistakes, most images first, then by label.

    Args:
        matrix: Confusion matrix [C, C].
        count: How many at most.
    """
    totals = matrix.sum(axis=1)
    mistakes = [
        ConfusedPair(int(i), int(j), int(matrix[i, j]), float(matrix[i, j] / totals[i]))
        for i, j in np.argwhere(matrix > 0)
        if i != j
    ]
    return sorted(mistakes, key=lambda pair: (-pair.count, -pair.share, pair.true, pair.predicted))[
        :count
    ]


def per_class_recall(matrix: np.ndarray) -> list[ClassRecall]:
    """Recall of every class that has images, by label."""
    totals = matrix.sum(axis=1)
    return [
        ClassRecall(label, wilson(int(matrix[label, label]), int(total)), int(total))
        for label, total in enumerate(totals)
        if total
    ]


def macro_accuracy(
    matrix: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Mean recall of the classes that have images, each counting the same.

    The interval is a bootstrap stratified by class: within each class the number
    of right answers is drawn anew from as many images (binomial with the
    class's recall), which is what resampling its images amounts to.

    Raises:
        ValueError: No class has an image.
    """
    totals = matrix.sum(axis=1)
    present = totals > 0
    if not present.any():
        raise ValueError("no images")
    n = totals[present]
    recall = matrix.diagonal()[present] / n
    generator = np.random.Generator(np.random.PCG64(seed))
    means = (generator.binomial(n, recall, size=(resamples, len(n))) / n).mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    value = float(recall.mean())
    return Estimate(value, min(float(low), value), max(float(high), value))
