"""Accuracies with intervals, and whether two models really differ."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np

TOP_K = 5


@dataclass(frozen=True)
class Estimate:
    """A measured value and its confidence interval, `low <= value <= high`."""

    value: float
    low: float
    high: float

    @classmethod
    def holding(cls, value: float, low: float, high: float) -> Estimate:
        """With the interval `low..high`, widened to `value` where a resampled one misses it."""
        return cls(value, min(low, value), max(high, value))

    @classmethod
    def of_draws(cls, value: float, draws: np.ndarray, confidence: float = 0.95) -> Estimate:
        """With the percentile interval of resampled values [R]."""
        low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
        return cls.holding(value, float(low), float(high))


@dataclass(frozen=True)
class SplitScore:
    """Accuracy on one split.

    Attributes:
        top1: Share of images whose best answer is right, with Wilson's 95% interval.
        top5: Share whose five best answers (all of them, below five classes) hold the right one.
        n: Number of images.
    """

    top1: Estimate
    top5: Estimate
    n: int

    def close_to(self, other: SplitScore) -> bool:
        """Whether both are of the same answers; the last digits depend on the machine."""
        near = np.allclose(astuple(self.top1), astuple(other.top1), rtol=0, atol=1e-6)
        near &= np.allclose(astuple(self.top5), astuple(other.top5), rtol=0, atol=1e-6)
        return near and self.n == other.n


@dataclass(frozen=True)
class McNemar:
    """Two models on the same images.

    Attributes:
        only_first: Images that only the first model gets right.
        only_second: Images that only the second gets right.
        p_value: Probability of so uneven a split if both were equally good.
    """

    only_first: int
    only_second: int
    p_value: float


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits [..., C], float64; large logits do not overflow."""
    shifted = np.asarray(logits, np.float64)
    exponentials = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def ranking(scores: np.ndarray, k: int = TOP_K) -> np.ndarray:
    """The `min(k, C)` best classes of each row, best first; ties go to the lower label.

    Args:
        scores: [N, C], logits or probabilities.
        k: How many.

    Returns:
        int64 [N, min(k, C)].
    """
    order = np.argsort(-np.asarray(scores), axis=1, kind="stable")
    return order[:, : min(k, order.shape[1])].astype(np.int64)


def topk_correct(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether the label is among the `min(k, C)` best classes.

    Args:
        scores: [N, C], logits or probabilities.
        labels: int [N], 0 to C - 1.
        k: How many answers count.

    Returns:
        bool [N].
    """
    return np.asarray((ranking(scores, k) == np.asarray(labels)[:, None]).any(axis=1))


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927).

    Unlike the normal approximation it stays within 0..1 and is honest near the
    ends.  Nothing observed (`n == 0`) gives value 0 and the interval 0..1.

    Raises:
        ValueError: `successes` is not between 0 and `n`.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return Estimate(0.0, 0.0, 1.0)
    # Slow to import, and commands that only show what was measured need it not.
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    share = successes / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Estimate.holding(share, max(0.0, centre - half), min(1.0, centre + half))


def bootstrap(
    values: np.ndarray, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """The mean of `values` with the percentile bootstrap interval (Efron 1979).

    Args:
        values: [N], one number an image; N at least 1.
        confidence: Share of resampled means inside the interval.
        resamples: How many times to draw N values with replacement.
        seed: Of the draws; the same seed gives the same interval.

    Raises:
        ValueError: `values` is empty.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.size == 0:
        raise ValueError("nothing to resample")
    generator = np.random.Generator(np.random.PCG64(seed))
    means = [
        numbers[generator.integers(0, numbers.size, numbers.size)].mean() for _ in range(resamples)
    ]
    return Estimate.of_draws(float(numbers.mean()), np.array(means), confidence)


def paired_bootstrap(
    a: np.ndarray,
    b: np.ndarray,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The mean difference `b - a` on the same images, with its bootstrap interval.

    Args:
        a: [N], the first model's number for each image (0 or 1 for right).
        b: [N], the second's for the same images in the same order.
        confidence: As for `bootstrap`.
        resamples: As for `bootstrap`.
        seed: As for `bootstrap`.

    Raises:
        ValueError: Different lengths, or empty.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} values are not pairs")
    difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    return bootstrap(difference, confidence, resamples, seed)


def newcombe(before: Estimate, after: Estimate) -> Estimate:
    """`after - before` of shares of different images, by Newcombe's (1998) hybrid score.

    Args:
        before: With Wilson's interval.
        after: The same, at the same confidence, of other images.
    """
    value = after.value - before.value
    down = math.hypot(after.value - after.low, before.high - before.value)
    up = math.hypot(after.high - after.value, before.value - before.low)
    return Estimate(value, value - down, value + up)


def mcnemar(first_correct: np.ndarray, second_correct: np.ndarray) -> McNemar:
    """McNemar's exact test on the images where only one model is right (McNemar 1947).

    Args:
        first_correct: bool [N].
        second_correct: bool [N], the same images in the same order.

    Raises:
        ValueError: Different lengths.
    """
    from scipy.stats import binomtest

    first = np.asarray(first_correct, bool)
    second = np.asarray(second_correct, bool)
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} and {len(second)} answers are not pairs")
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    changed = only_first + only_second
    p_value = float(binomtest(only_first, changed).pvalue) if changed else 1.0
    return McNemar(only_first, only_second, p_value)


def score(scores: np.ndarray, labels: np.ndarray) -> SplitScore:
    """Top-1 and top-5 accuracy with Wilson's 95% intervals.

    Args:
        scores: [N, C], logits or probabilities.
        labels: int [N], 0 to C - 1.
    """
    return split_score(topk_correct(scores, labels, 1), topk_correct(scores, labels, TOP_K))


def split_score(top1: np.ndarray, top5: np.ndarray) -> SplitScore:
    """The same from hits: whether the best, and one of the five best answers is right, bool [N]."""
    n = len(top1)
    return SplitScore(wilson(int(top1.sum()), n), wilson(int(top5.sum()), n), n)
