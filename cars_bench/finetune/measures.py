"""Everything that is measured on one split: per class, calibration, confusion, groups, McNemar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from cars_bench.evaluation.calibration import expected_calibration_error, reliability
from cars_bench.evaluation.confusion import (
    confusion_matrix,
    macro_accuracy,
    most_confused,
    per_class_recall,
)
from cars_bench.evaluation.groups import accuracy_by, parse_name
from cars_bench.evaluation.metrics import mcnemar, softmax

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
GROUPS = ("make", "body", "year")


def measures(logits: Logits, labels: Labels, class_names: list[str]) -> dict[str, Any]:
    """Beyond top-1 and top-5, as plain JSON values.

    Args:
        logits: float32 `[N, C]`.
        labels: int64 `[N]`.
        class_names: C names.

    Returns:
        `macro` (mean recall of the classes), `classes` (recall of each),
        `confused` (the most frequent mistakes), `calibration` (expected
        calibration error and the reliability table) and `groups` (by make,
        body type and year, where the class names tell them).
    """
    predicted = logits.argmax(1)
    matrix = confusion_matrix(labels, predicted, len(class_names))
    return {
        "macro": macro_accuracy(matrix).to_json(),
        "classes": [
            {"class": class_names[row.label], **row.recall.to_json(), "n": row.n}
            for row in per_class_recall(matrix)
        ],
        "confused": [
            {
                "true": class_names[pair.true],
                "predicted": class_names[pair.predicted],
                "count": pair.count,
                "share": pair.share,
            }
            for pair in most_confused(matrix)
        ],
        "calibration": calibration(logits, labels),
        "groups": groups(predicted == labels, labels, class_names),
    }


def calibration(logits: Logits, labels: Labels) -> dict[str, Any]:
    """Expected calibration error and the reliability table."""
    table = reliability(softmax(logits).max(1), logits.argmax(1) == labels)
    return {
        "expected_calibration_error": expected_calibration_error(table),
        "reliability": [asdict(row) for row in table],
    }


def groups(
    correct: npt.NDArray[np.bool_], labels: Labels, class_names: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """Top-1 by make, body type and year, worst first; only where there is more than one group."""
    true_names = [class_names[label] for label in labels]
    found = {}
    for name in GROUPS:
        rows = accuracy_by(_property(name), true_names, correct)
        if len(rows) > 1:
            found[name] = [{"group": r.group, **r.accuracy.to_json(), "n": r.n} for r in rows]
    return found


def compared(frozen: Logits, finetuned: Logits, labels: Labels) -> dict[str, Any]:
    """McNemar's test, image by image: which images only one of the two gets right."""
    found = mcnemar(frozen.argmax(1) == labels, finetuned.argmax(1) == labels)
    return {
        "only_frozen_right": found.only_first,
        "only_finetuned_right": found.only_second,
        "p_value": found.p_value,
    }


def _property(name: str) -> Callable[[str], str]:
    return lambda class_name: str(getattr(parse_name(class_name), name))
