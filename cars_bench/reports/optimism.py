"""From validation to test: how much the best of many flatters itself, expected and happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cars_bench.reports.sources import Sources

DRAWS = 4000
WIDTH_IN_DEVIATIONS = 2 * 1.959964


@dataclass(frozen=True)
class Optimism:
    """The winner's curse, in shares of top-1.

    Attributes:
        trials: How many heads the winner was chosen from.
        expected: By how much a winner's validation score exceeds its true one, on average.
        paired: Measured by the search on the heads' answers to the same images; else
            the noise of each head is taken as its own.
        validation: The frozen winner's validation top-1, where its test top-1 is known too.
        test: Its test top-1.
    """

    trials: int
    expected: float
    paired: bool
    validation: float | None
    test: float | None


def optimism(sources: Sources) -> Optimism | None:
    """Estimate the winner's curse; `None` with fewer than two scored trials."""
    scored = [
        (trial.score, trial.high - trial.low)
        for trial in sources.ranked
        if trial.kind == "trial" and trial.low is not None and trial.high is not None
    ]
    if len(scored) <= 1:
        return None
    measured_drop = (sources.study or {}).get("winner", {}).get("expected_drop")
    expected = _independent(scored) if measured_drop is None else float(measured_drop)
    run = sources.run
    val, test = (run.accuracy("frozen", split) if run else None for split in ("val", "test"))
    measured = (val["top1"]["value"], test["top1"]["value"]) if val and test else (None, None)
    return Optimism(len(scored), expected, measured_drop is not None, *measured)


def _independent(scored: list[tuple[float | None, float]]) -> float:
    values = np.array(scored, float)
    return expected_optimism(values[:, 0], values[:, 1] / WIDTH_IN_DEVIATIONS)


def expected_optimism(scores: np.ndarray, deviations: np.ndarray, seed: int = 0) -> float:
    """Mean excess of a winner's noisy score over its own, by parametric bootstrap.

    The observed scores stand for the true ones and every head's noise is
    drawn alone; heads scored on the same images share noise, so this is an
    upper estimate.

    Args:
        scores: float [heads].
        deviations: Standard errors of the scores, float [heads].
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    noise = generator.normal(0.0, 1.0, (DRAWS, len(scores))) * deviations
    winners = (scores + noise).argmax(axis=1)
    return float(noise[np.arange(DRAWS), winners].mean())
