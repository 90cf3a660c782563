"""Whether a stated 80% is right 80% of the time (Guo et al. 2017, arXiv:1706.04599)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cars_bench.evaluation.metrics import Estimate, wilson

BINS = 15


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True)
class Calibration:
    """How sure a model is against how often it is right.

    Attributes:
        expected_calibration_error: Mean distance between the two, 0 to 1 (Naeini et al. 2015).
        reliability: The table it comes from, in `BINS` bins.
        sure: Mean probability of the answers given, 0 to 1.
        right: Share of them that is right, with Wilson's 95% interval.
    """

    expected_calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    sure: float
    right: Estimate

    @property
    def direction(self) -> str:
        """Which way it errs; neither where `sure` lies in the interval of `right`."""
        if self.sure < self.right.low:
            return "under-confident"
        return "over-confident" if self.sure > self.right.high else "well calibrated on average"


def calibration(confidence: np.ndarray, correct: np.ndarray) -> Calibration:
    """The calibration of N answers, N at least 1.

    Args:
        confidence: [N], probability of the answer given, 0 to 1.
        correct: bool [N], whether it was right.
    """
    table = reliability(confidence, correct)
    return Calibration(
        expected_calibration_error=expected_calibration_error(table),
        reliability=tuple(table),
        sure=float(np.mean(confidence)),
        right=wilson(int(np.sum(correct)), len(correct)),
    )


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
    sure = np.asarray(confidence, np.float64)
    right = np.asarray(correct, np.float64)
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
            low=float(edges[i]),
            high=float(edges[i + 1]),
            n=int(count[i]),
            confidence=float(confidences[i] / max(count[i], 1)),
            accuracy=float(rights[i] / max(count[i], 1)),
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
