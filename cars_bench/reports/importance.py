"""Which columns of a table explain its last one: permutation importance of a forest.

A forest predicts a trial's score from its hyperparameters (as in Hutter et al. 2014); a
column's importance is how much of the variance that explains is lost when it is shuffled
(Breiman 2001).  Rows are resampled to say how far the ranking itself can be trusted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from sklearn.ensemble import RandomForestRegressor

TREES = 24
RESAMPLES = 40


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
    drawn, scores = (values[chosen] for values in (x, y))
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0).fit(drawn, scores)
    shuffled = [_shuffled(drawn, column, generator) for column in range(x.shape[1])]
    predicted = forest.predict(np.concatenate([drawn, *shuffled])).reshape(-1, len(scores))
    losses = ((predicted - scores) ** 2).mean(axis=1)
    gains = np.maximum(losses[1:] - losses[0], 0.0)
    total = float(gains.sum())
    shares: np.ndarray = gains / total if total > 0 else gains
    return shares


def _shuffled(x: np.ndarray, column: int, generator: np.random.Generator) -> np.ndarray:
    copy = x.copy()
    copy[:, column] = generator.permutation(copy[:, column])
    return copy


def choice_means(values: Mapping[str, str], scores: Mapping[str, float]) -> dict[str, float]:
    """Mean score of the trials with each choice: in a full grid, its main effect.

    Args:
        values: The choice of each trial where it was active.
        scores: By trial.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    for trial, choice in values.items():
        found[choice].append(scores[trial])
    return {choice: float(np.mean(of)) for choice, of in found.items()}
