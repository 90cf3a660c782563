"""Whether a stated 80% is right 80% of the time, and one temperature that mends it.

Both after Guo et al. 2017 (arXiv:1706.04599): a model's logits are divided by one number,
fitted on images that it was not trained on.  The order of its answers stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cars_bench.evaluation.metrics import Estimate, wilson
from cars_bench.evaluation.predictions import predictions

BINS = 15
SMALL_ERROR = 0.05
"""Expected calibration error up to which a model may be called well calibrated."""
DRAWS = 500
COLDEST = 0.05
HOTTEST = 20.0


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
        chance: Error that a calibrated model as sure as this one stays below on 95 of 100
            sets of as many images; few images make it large.
    """

    expected_calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    sure: float
    right: Estimate
    chance: float

    @property
    def direction(self) -> str:
        """What may be said of it: which way it errs, else how far the error lets it be praised."""
        if self.sure < self.right.low:
            return "under-confident"
        if self.sure > self.right.high:
            return "over-confident"
        if self.expected_calibration_error <= SMALL_ERROR:
            return "well calibrated"
        if self.expected_calibration_error <= self.chance:
            return "not to be told from a calibrated one on so few images"
        return "as sure as right on average, but not at each probability"


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """One number that a model's logits are divided by, and what that did to its calibration.

    Attributes:
        value: Above 1 makes it less sure, below 1 more.
        images: Validation images that it was fitted on.
        before: Calibration without it, by split.
        after: Calibration with it, by split; on validation it was fitted, on test it was not.
    """

    value: float
    images: int
    before: dict[str, Calibration]
    after: dict[str, Calibration]

    def applied(self, logits: np.ndarray) -> np.ndarray:
        """Logits [N, C] divided by it, in float64, so that no two become equal."""
        return np.asarray(logits, np.float64) / self.value

    def measured(self, split: str, logits: np.ndarray, labels: np.ndarray) -> Temperature:
        """With what it does on a split: logits [N, C] of the model, labels int [N]."""
        return replace(
            self,
            before=self.before | {split: calibration_of(logits, labels)},
            after=self.after | {split: calibration_of(self.applied(logits), labels)},
        )


def fitted_temperature(logits: np.ndarray, labels: np.ndarray) -> Temperature | None:
    """Fit the temperature on validation images, by their negative log-likelihood.

    Args:
        logits: [N, C] of images that the model was not trained on.
        labels: int [N].

    Returns:
        It, measured on these images; `None` where every answer is right, since then the
        likelihood only grows as the temperature falls to nothing.
    """
    if (np.argmax(logits, axis=1) == labels).all():
        return None
    fitted = Temperature(
        value=best_temperature(logits, labels), images=len(labels), before={}, after={}
    )
    return fitted.measured("val", logits, labels)


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature from `COLDEST` to `HOTTEST` under which the labels are likeliest.

    It is never less likely than 1: the log-likelihood is concave in its reciprocal.

    Args:
        logits: [N, C].
        labels: int [N].
    """
    # Slow to import, and reports that only show what was fitted need it not.
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log: log_loss(logits / np.exp(log), labels),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    value = float(np.exp(found.x))
    return value if log_loss(logits / value, labels) <= log_loss(logits, labels) else 1.0


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of labels int [N] under logits [N, C]."""
    scores = np.asarray(logits, np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    given = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(axis=1)) - given).mean())


def calibration_of(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """The calibration of logits [N, C]; of probabilities as a table of predictions keeps them."""
    names = [str(label) for label in range(logits.shape[1])]
    answers = predictions([str(image) for image in range(len(labels))], logits, names, labels)
    return calibration(answers.confidence, answers.correct)


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
        chance=error_by_chance(confidence),
    )


def error_by_chance(confidence: np.ndarray, bins: int = BINS, seed: int = 0) -> float:
    """The error that a calibrated model stays below 95 times of 100, for its confidences [N].

    Args:
        confidence: [N], N at least 1, probability of the answer given, 0 to 1.
        bins: As for `reliability`.
        seed: Of the draws of which answers are right; the same seed gives the same error.
    """
    sure = np.asarray(confidence, np.float64)
    place = _bins_of(sure, bins)
    generator = np.random.Generator(np.random.PCG64(seed))
    errors = [
        np.abs(np.bincount(place, (generator.random(sure.size) < sure) - sure, bins)).sum()
        for _ in range(DRAWS)
    ]
    return float(np.quantile(errors, 0.95) / sure.size)


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
    edges = _edges(bins)
    place = _bins_of(sure, bins)
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


def _edges(bins: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, bins + 1)


def _bins_of(sure: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each confidence, int [N]."""
    return np.clip(np.searchsorted(_edges(bins), sure, side="left") - 1, 0, bins - 1)


def expected_calibration_error(table: list[ReliabilityBin]) -> float:
    """Mean distance between confidence and accuracy over all images, 0 to 1.

    Args:
        table: From `reliability`; without images the error is 0.
    """
    n = sum(row.n for row in table)
    return sum(row.n * abs(row.accuracy - row.confidence) for row in table) / max(n, 1)
