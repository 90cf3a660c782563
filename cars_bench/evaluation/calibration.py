"""Whether a stated 80% is right 80% of the time (Guo et al. 2017, arXiv:1706.04599)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence lies in `(low, high]` (the first bin includes 0).

    Attributes:
        low: Lower end of the confidence.
        high: Upper end.
        n: Number of images.
        confidence: Their mean confidence, 0 when there are none.
        accuracy: Share of them answered right, 0 when there are none.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability(
    confidence: np.ndarray, correct: np.ndarray, bins: int = BINS
) -> list[ReliabilityBin]:
    """The reliability table in bins of equal width.

    Args:
        confidence: [N], probability of the answer given, 0 to 1.
        correct: bool [N], whether it was right.
        bins: How many.

    Raises:
        ValueError: A confidence outside 0..1, or different lengths.
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if sure.shape != right.shape:
        raise ValueError(f"{len(sure)} confidences and {len(right)} answers")
    if sure.size and not (sure.min() >= 0 and sure.max() <= 1 + 1e-9):
        raise ValueError("a confidence is outside 0..1")
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    count, confidences, rights = (
        np.bincount(place, weights, bins) for weights in (np.ones_like(sure), sure, right)
    )
    return [
        ReliabilityBin(
            float(edges[i]),
            float(edges[i + 1]),
            int(count[i]),
            float(confidences[i] / max(count[i], 1)),
            float(rights[i] / max(count[i], 1)),
        )
        for i in range(bins)
    ]


def expected_calibration_error(table: list[ReliabilityBin]) -> float:
    """Mean distance between confidence and accuracy over all images, 0 to 1.

    Args:
        table: From `reliability`; without images the error is 0.
    """
    n = sum(row.n for row in table)
    return sum(row.n * abs(row.accuracy - row.confidence) for row in table) / max(n, 1)
