"""Comparing heads on the same validation images: bootstrap over images and seeds.

A head's answers are bool `[S, N]`: S trainings with different seeds, N images.
Every resample draws the images once for all heads, so that differences are
paired (Efron & Tibshirani 1993, chapters 8 and 17).
"""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt

from cars_bench.evaluation.metrics import Estimate

RESAMPLES = 1000
CONFIDENCE = 0.95

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def pack(correct: Bools) -> str:
    """Bool `[N]` as text for the ledger: `N:base64 of the bits`."""
    return f"{len(correct)}:{base64.b64encode(np.packbits(correct).tobytes()).decode()}"


def unpack(text: str) -> Bools:
    """Inverse of `pack`.

    Raises:
        ValueError: Nothing of at least one image was packed as this text.
    """
    count, _, bits = text.partition(":")
    packed = np.frombuffer(base64.b64decode(bits), np.uint8)
    if not 0 < int(count) <= 8 * len(packed):
        raise ValueError(f"{text!r} packs no answers")
    found = np.unpackbits(packed, count=int(count)).astype(bool)
    if pack(found) != text:
        raise ValueError(f"{text!r} is not how answers are packed")
    return found


def resampled_means(answers: list[Bools], seed: int = 0) -> Floats:
    """Accuracy of T heads on resampled images and seeds.

    Args:
        answers: T arrays bool `[S, N]`; S may differ, N may not.
        seed: Of the draws.

    Returns:
        float64 `[RESAMPLES, T]`.
    """
    rng = np.random.default_rng(seed)
    count = answers[0].shape[1]
    weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count
    means = np.empty((RESAMPLES, len(answers)))
    for column, rows in enumerate(answers):
        trainings = len(rows)
        share = rng.multinomial(trainings, np.full(trainings, 1 / trainings), RESAMPLES)
        means[:, column] = (weights @ rows.T * (share / trainings)).sum(1)
    return means


def interval(means: Floats, value: float) -> Estimate:
    """`value` with the percentile interval of its resampled means `[RESAMPLES]`."""
    low, high = _ends(means)
    return Estimate.holding(value, low, high)


def told_apart(means: Floats, first: Floats) -> bool:
    """Whether the interval of the paired difference to the first excludes zero."""
    low, high = _ends(means - first)
    return low > 0 or high < 0


def expected_drop(answers: list[Bools], seed: int = 0) -> float:
    """By how much the best of many is expected to fall on new images (the winner's curse).

    The bootstrap's optimism: pick the best on resampled images, and see how
    much better it looks there than on the images themselves.

    Args:
        answers: T arrays bool `[1, N]`, the scores that the choice was made by.
        seed: Of the draws.
    """
    means = resampled_means(answers, seed)
    observed = np.array([rows.mean() for rows in answers])
    return float((means.max(1) - observed[means.argmax(1)]).mean())


def _ends(values: Floats) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
