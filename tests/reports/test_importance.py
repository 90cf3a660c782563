from __future__ import annotations

import numpy as np

from cars_bench.reports.importance import permutation_importance


def test_importance_finds_the_column_that_matters():
    x = np.random.default_rng(2).uniform(size=(60, 3))
    mean = permutation_importance(x, 2 * x[:, 1]).mean(axis=0)
    assert mean.argmax() == 1
    assert mean[1] > 0.8
