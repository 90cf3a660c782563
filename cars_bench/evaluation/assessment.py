"""The one judge of a model's answers: everything that is published about them is decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cars_bench.errors import InputError
from cars_bench.evaluation.calibration import Calibration, calibration
from cars_bench.evaluation.confusion import (
    ClassRecall,
    ConfusedPair,
    Mistake,
    MutualPair,
    confused_pairs,
    confusion_matrix,
    macro_accuracy,
    mistakes,
    mutual_pairs,
    per_class_recall,
)
from cars_bench.evaluation.groups import GroupScore, class_groups, group_scores
from cars_bench.evaluation.metrics import Estimate, SplitScore
from cars_bench.evaluation.predictions import Predictions, score_of


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What one model's answers to N images are worth.

    Attributes:
        score: Top-1 and top-5.
        macro: Mean recall of the classes, each counting the same.
        classes: Recall of every class that has images, by label.
        cells: (true label, predicted label, count) of every pair that occurred, right ones too.
        mistakes: The wrong answers, the most confident first.
        confused: Every kind of mistake, most images first.
        calibration: How sure it is against how right.
        groups: Accuracy by each property of the classes that is known.
    """

    score: SplitScore
    macro: Estimate
    classes: tuple[ClassRecall, ...]
    cells: tuple[tuple[int, int, int], ...]
    mistakes: tuple[Mistake, ...]
    confused: tuple[ConfusedPair, ...]
    calibration: Calibration
    groups: dict[str, tuple[GroupScore, ...]]

    @cached_property
    def mutual(self) -> tuple[MutualPair, ...]:
        """The confused pairs, both directions counted together, most images first."""
        return mutual_pairs(self.confused)


def assess(
    predictions: Predictions,
    class_names: Sequence[str],
    groups: Mapping[str, Mapping[str, str]] | None = None,
) -> Assessment:
    """Judge a model's answers.

    Args:
        predictions: Its answers to N labelled images.
        class_names: C names; the index is the label.
        groups: Properties of the classes, from the dataset's card; those that names of
            cars tell are known anyway.

    Raises:
        InputError: There is no image, or a class that is none of `class_names`.
    """
    true = _labels(predictions.true, class_names)
    answered = _labels(predictions.predicted, class_names)
    if not true.size:
        raise InputError("There is no prediction to judge.", "cars-bench evaluate")
    matrix = confusion_matrix(true, answered, len(class_names))
    wrong = mistakes(predictions)
    return Assessment(
        score=score_of(predictions),
        macro=macro_accuracy(matrix),
        classes=per_class_recall(matrix, class_names),
        cells=tuple((int(i), int(j), int(matrix[i, j])) for i, j in np.argwhere(matrix)),
        mistakes=wrong,
        confused=confused_pairs(wrong, Counter(predictions.true)),
        calibration=calibration(predictions.confidence, predictions.correct),
        groups=group_scores(
            predictions.true, predictions.correct, class_groups(class_names, groups)
        ),
    )


def _labels(names: Sequence[str], class_names: Sequence[str]) -> np.ndarray:
    label = {name: number for number, name in enumerate(class_names)}
    unknown = sorted(set(names) - set(label))
    if unknown:
        raise InputError(
            f"The predictions name the class {unknown[0]!r}, which the model does not know.",
            "predict again with the model as it is now",
        )
    return np.array([label[name] for name in names], np.int64)
