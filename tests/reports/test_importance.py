from __future__ import annotations

import numpy as np
import pytest

from cars_bench.reports.importance import choice_means, permutation_importance


def test_importance_finds_the_column_that_matters():
    x = np.random.default_rng(2).uniform(size=(60, 3))
    mean = permutation_importance(x, 2 * x[:, 1]).mean(axis=0)
    assert mean.argmax() == 1
    assert mean[1] > 0.8


def test_a_choice_has_the_mean_of_the_trials_that_had_it():
    scores = {"a": 0.2, "b": 0.4, "c": 0.5, "d": 0.9}
    means = choice_means({"a": "flip", "b": "flip", "c": "none"}, scores)
    assert means == {"flip": pytest.approx(0.3), "none": 0.5}
