"""From validation to test: how much the best of many flatters itself, expected and happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cars_bench.documents import from_json
from cars_bench.evaluation.metrics import Estimate, newcombe
from cars_bench.reports.inputs import Sources

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
        head: The trial whose frozen head was measured on both splits; empty where none was.
        validation: Its validation top-1, on the backbone.
        test: Its test top-1.
        change: Test less validation with its 95% interval (Newcombe 1998, for other images).
    """

    trials: int
    expected: float
    paired: bool
    head: str = ""
    validation: float | None = None
    test: float | None = None
    change: Estimate | None = None

    @property
    def settled(self) -> bool:
        """Whether the change is more than noise."""
        return self.change is not None and (self.change.low > 0 or self.change.high < 0)


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
    return Optimism(len(scored), expected, measured_drop is not None, *_happened(sources))


def _happened(sources: Sources) -> tuple[str, float, float, Estimate] | tuple[()]:
    run = sources.run
    scores = [run.accuracy("frozen", split) if run else None for split in ("val", "test")]
    val, test = (from_json(Estimate, item["top1"]) if item else None for item in scores)
    if run is None or val is None or test is None:
        return ()
    return str(run.record.get("trial_id", "")), val.value, test.value, newcombe(val, test)


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
