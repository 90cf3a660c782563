"""Two rankings of the same heads: whether they agree, and what trusting the first one costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cars_bench.evaluation.metrics import Estimate, bootstrap, paired_bootstrap

RESAMPLES = 2000

Rights = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Shares = Rights | Floats
"""Right or wrong; of several trainings the share that is right, 0 to 1."""


@dataclass(frozen=True)
class Regret:
    """Accuracy lost by taking the first ranking's winner.

    Attributes:
        lost: The best head's accuracy less the winner's, in [0, 1], with a 95% interval.
        by_chance: What as many heads, all of them as good as the winner, would show on average:
            the best one is picked by the very score that it is compared by.
    """

    lost: Estimate
    by_chance: float


def rank_agreement(before: Shares, after: Rights, seed: int = 0) -> Estimate:
    """Kendall's tau-b (Kendall 1938, 1945 for ties) between two accuracies, with a 95% interval.

    The bootstrap (Efron 1979) draws heads, images and, where a head was trained with
    several seeds, these too, all with replacement: another study would have other heads,
    and another split other images.  An image that is drawn counts for every head, before and
    after.  Draws in which all heads score the same have no tau and are left out; where none
    is left nothing is known: 0, from -1 to 1.

    Args:
        before: `[H, N]`, head by image, right by the first ranking.
        after: bool `[H, S, N]`, head by seed by image, right by the second one.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    heads = len(before)
    drawn = []
    for first, second in _resampled(before, after, generator):
        rows = generator.integers(heads, size=heads)
        drawn.append(_tau(first[rows], second[rows]))
    known = [value for value in drawn if np.isfinite(value)]
    value = _tau(before.mean(1), after.mean((1, 2)))
    if not known or not np.isfinite(value):
        return Estimate(0.0, -1.0, 1.0)
    return Estimate.of_draws(value, np.array(known))


def regret(after: Rights, winner: int, seed: int = 0) -> Regret:
    """What it costs to take one head rather than the best of them.

    The interval is that of multiple comparisons with the best (Hsu 1984): it holds for all heads
    at once, so that the best of many equal heads is not taken for a better one.  Its widths come
    from the bootstrap, which draws images, the same for all heads, and the seeds of each head.

    Args:
        after: bool `[H, S, N]`, head by seed by image.
        winner: Index of the head that the first ranking takes.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    means = np.array([second for _, second in _resampled(after[:, 0], after, generator)])
    observed = after.mean((1, 2))
    ahead = observed - observed[winner]
    noise = means - means[:, [winner]] - ahead
    up, down = noise.max(1), (-noise).max(1)
    value = float(ahead.max())
    low = value - float(np.quantile(up, 0.975))
    high = value + float(np.quantile(down, 0.975))
    return Regret(Estimate(value, max(0.0, low), min(1.0, high)), float(up.mean()))


def accuracy_over_seeds(rights: Rights) -> Estimate:
    """Mean accuracy of trainings bool `[S, N]`, with the bootstrap's interval over images."""
    return bootstrap(rights.mean(0))


def gain_over_seeds(before: Rights, after: Rights) -> Estimate:
    """Accuracy of trainings bool `[S, N]` less that of others on the same images, paired."""
    return paired_bootstrap(before.mean(0), after.mean(0))


def _resampled(
    before: Shares, after: Rights, generator: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Accuracies `[H]`, before and after, on resampled images; after, with resampled seeds.

    The seeds are drawn once a head, so that a head drawn twice is the same one.
    """
    heads, seeds, images = after.shape
    flat = after.reshape(-1, images).astype(np.float64)
    for _ in range(RESAMPLES):
        drawn = generator.integers(images, size=images)
        weights = np.bincount(drawn, minlength=images) / images
        shares = generator.multinomial(seeds, np.full(seeds, 1 / seeds), heads) / seeds
        second = (flat @ weights).reshape(heads, seeds)
        yield before @ weights, (second * shares).sum(1)


def _tau(before: Floats, after: Floats) -> float:
    from scipy.stats import kendalltau  # slow to import

    # Sums in another order differ in the last digits, which must not break a tie.
    return float(kendalltau(before.round(9), after.round(9), variant="b").statistic)
