"""Which classes are found, and which are taken for which."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from cars_bench.evaluation.metrics import Estimate, wilson
from cars_bench.evaluation.predictions import Prediction


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One wrong answer.

    Attributes:
        image_id: The image.
        true: Its class.
        predicted: The class answered instead.
        probability: The model's own for its answer, 0 to 1.
        given: What it gave the truth, where that is among the five answers kept.
    """

    image_id: str
    true: str
    predicted: str
    probability: float
    given: float | None


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """One kind of mistake: images of one class answered as another.

    Attributes:
        true: The right class.
        predicted: The class answered instead.
        count: How many images of `true` were answered so.
        of: How many images `true` has.
        images: Those answered so, the most confident first.
    """

    true: str
    predicted: str
    count: int
    of: int
    images: tuple[str, ...]

    @property
    def share(self) -> float:
        """`count` over all images of `true`, 0 to 1."""
        return self.count / self.of


@dataclass(frozen=True, kw_only=True)
class MutualPair(ConfusedPair):
    """Two classes taken for each other; `true` is the one more often taken for the other.

    Attributes:
        back: How many images of `predicted` were answered as `true`.
    """

    back: int


@dataclass(frozen=True)
class ClassRecall:
    """How much of one class is found.

    Attributes:
        name: The class.
        recall: Share of its images answered right, with Wilson's 95% interval.
        n: Number of its images.
    """

    name: str
    recall: Estimate
    n: int


def mistakes(rows: Iterable[Prediction]) -> tuple[Mistake, ...]:
    """The wrong answers, the most confident first, then by image."""
    wrong = [
        Mistake(
            image_id=row.image_id,
            true=row.true,
            predicted=row.answers[0],
            probability=row.probabilities[0],
            given=row.given,
        )
        for row in rows
        if not row.correct()
    ]
    return tuple(sorted(wrong, key=lambda item: (-item.probability, item.image_id)))


def confused_pairs(errors: Iterable[Mistake], sizes: Mapping[str, int]) -> tuple[ConfusedPair, ...]:
    """Every kind of mistake, most images first, then the larger share, then by name.

    Args:
        errors: As `mistakes` gives them.
        sizes: How many images each class has.
    """
    images: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for item in errors:
        images[item.true, item.predicted].append(item.image_id)
    pairs = [
        ConfusedPair(
            true=true, predicted=predicted, count=len(ids), of=sizes[true], images=tuple(ids)
        )
        for (true, predicted), ids in images.items()
    ]
    return tuple(
        sorted(pairs, key=lambda pair: (-pair.count, -pair.share, pair.true, pair.predicted))
    )


def mutual_pairs(pairs: Sequence[ConfusedPair]) -> tuple[MutualPair, ...]:
    """Both directions together, most images first, then by name.

    Args:
        pairs: As `confused_pairs` gives them.
    """
    counts = Counter({(pair.true, pair.predicted): pair.count for pair in pairs})
    found = [
        MutualPair(
            true=pair.true,
            predicted=pair.predicted,
            count=pair.count,
            of=pair.of,
            images=pair.images,
            back=counts[pair.predicted, pair.true],
        )
        for pair in pairs
        if (pair.count, pair.true) >= (counts[pair.predicted, pair.true], pair.predicted)
    ]
    return tuple(sorted(found, key=lambda pair: (-pair.count - pair.back, pair.true)))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 [C, C]: row the true class, column the answer.

    Args:
        labels: int [N], 0 to C - 1.
        predicted: int [N], 0 to C - 1.
        classes: C.

    Raises:
        ValueError: A label is out of range, or the lengths differ.
    """
    rows = np.asarray(labels, np.int64)
    columns = np.asarray(predicted, np.int64)
    if rows.shape != columns.shape:
        raise ValueError(f"{len(rows)} labels and {len(columns)} answers")
    both = np.concatenate([rows, columns])
    if both.size and not (both.min() >= 0 and both.max() < classes):
        raise ValueError(f"a label is outside 0..{classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)


def clustered_order(cells: Iterable[tuple[int, int, int]], classes: int) -> tuple[int, ...]:
    """Labels in an order in which classes that are taken for each other stand side by side.

    Average linkage of the share of both classes' images that one is taken for the other,
    its branches turned so that neighbours are as alike as can be (Bar-Joseph et al. 2001).

    Args:
        cells: (true label, predicted label, count) of every pair that occurred.
        classes: C.

    Returns:
        Every label from 0 to C - 1 once.
    """
    matrix = np.zeros((classes, classes))
    for true, predicted, count in cells:
        matrix[true, predicted] = count
    if matrix.sum() == matrix.trace():
        return tuple(range(classes))
    sizes = matrix.sum(axis=1)
    shares = (matrix + matrix.T) / np.maximum(sizes[:, None] + sizes, 1)
    np.fill_diagonal(shares, 1.0)
    tree = linkage(squareform(1 - shares, checks=False), "average", optimal_ordering=True)
    return tuple(int(label) for label in leaves_list(tree))


def per_class_recall(matrix: np.ndarray, class_names: Sequence[str]) -> tuple[ClassRecall, ...]:
    """Recall of every class that has images, by label.

    Args:
        matrix: Confusion matrix [C, C].
        class_names: C names.
    """
    totals = matrix.sum(axis=1)
    return tuple(
        ClassRecall(name, wilson(int(matrix[label, label]), int(totals[label])), int(totals[label]))
        for label, name in enumerate(class_names)
        if totals[label]
    )


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
    return Estimate.of_draws(float(recall.mean()), means, confidence)
