"""Which hyperparameters mattered: permutation importance of a forest, with bootstrap intervals.

The forest predicts a trial's score from its hyperparameters (as in Hutter et
al. 2014); a hyperparameter's importance is how much of the variance that
explains is lost when its column is shuffled (Breiman 2001).  Trials are
resampled to say how far the ranking itself can be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from cars_bench.reports.search import Hyperparameter, SearchFacts

FEWEST_TRIALS, FEWEST_EACH = 20, 3
"""Trials that an estimate takes: at least so many, and so many for each that varied."""
TREES, RESAMPLES = 24, 40


@dataclass(frozen=True)
class Importance:
    """One hyperparameter's share of the explained variance, and its 95% bootstrap interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ImportanceFacts:
    """Importance over all trials, and over the better half; empty where trials are too few.

    Attributes:
        trials: How many completed trials there were.
        varied: How many hyperparameters varied.
        needed: How many trials an estimate needs.
    """

    trials: int
    varied: int
    needed: int
    overall: tuple[Importance, ...]
    top_half: tuple[Importance, ...]


def importance_facts(search: SearchFacts | None) -> ImportanceFacts | None:
    """Estimate importances; `None` where no search exists."""
    if search is None:
        return None
    scores = {trial: score for _, trial, score in search.history}
    ordered = sorted(scores, key=lambda trial: -scores[trial])
    half = ordered[: len(ordered) // 2]
    varied = search.hyperparameters
    return ImportanceFacts(
        trials=len(scores),
        varied=len(varied),
        needed=_needed(varied),
        overall=tuple(_importances(varied, ordered, scores)),
        top_half=tuple(_importances(varied, half, scores)),
    )


def _needed(varied: Sequence[Hyperparameter]) -> int:
    return max(FEWEST_TRIALS, FEWEST_EACH * len(varied))


def _importances(
    varied: Sequence[Hyperparameter], trials: list[str], scores: dict[str, float]
) -> list[Importance]:
    if len(trials) < _needed(varied) or not varied:
        return []
    x = np.column_stack([column(item, trials) for item in varied])
    y = np.array([scores[trial] for trial in trials])
    draws = permutation_importance(x, y)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    found = [
        Importance(item.name, float(mean), float(low[n]), float(high[n]))
        for n, (item, mean) in enumerate(zip(varied, draws.mean(axis=0), strict=True))
    ]
    return sorted(found, key=lambda item: (-item.value, item.name))


def column(item: Hyperparameter, trials: list[str]) -> np.ndarray:
    """A hyperparameter as numbers: logarithms on a log scale, the place of a choice.

    Where it was not active it stands at the mean of the active ones, so that it does not
    repeat what switched it off.
    """
    values = np.array([_number(item, item.values.get(trial)) for trial in trials])
    inactive = np.isnan(values)
    values[inactive] = 0.0 if inactive.all() else values[~inactive].mean()
    return values


def _number(item: Hyperparameter, value: Any) -> float:
    if value is None:
        return math.nan
    if item.options:
        return item.options.index(value)
    return math.log(value) if item.log else float(value)


def permutation_importance(x: np.ndarray, y: np.ndarray, seed: int = 0) -> np.ndarray:
    """Shares of the variance that a forest loses without each column, by bootstrap resample.

    Args:
        x: Hyperparameters, float [trials, columns].
        y: Scores, float [trials].
        seed: Of the resampling, the forests and the shuffles.

    Returns:
        float [RESAMPLES, columns]; each row sums to 1 unless nothing is explained.
    """
    generator = np.random.default_rng(seed)
    return np.array([_resample(x, y, generator) for _ in range(RESAMPLES)])


def _resample(x: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    chosen = generator.integers(0, len(y), len(y))
    x, y = x[chosen], y[chosen]
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0).fit(x, y)
    shuffled = [_shuffled(x, column, generator) for column in range(x.shape[1])]
    predicted = forest.predict(np.concatenate([x, *shuffled])).reshape(-1, len(y))
    losses = ((predicted - y) ** 2).mean(axis=1)
    gains = np.maximum(losses[1:] - losses[0], 0.0)
    total = float(gains.sum())
    shares: np.ndarray = gains / total if total > 0 else gains
    return shares


def _shuffled(x: np.ndarray, column: int, generator: np.random.Generator) -> np.ndarray:
    copy = x.copy()
    copy[:, column] = generator.permutation(copy[:, column])
    return copy
