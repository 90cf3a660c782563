from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.reports.importance import column, importance_facts
from cars_bench.reports.search import Hyperparameter, search_facts


def _number(values: dict[str, float], log: bool = False) -> Hyperparameter:
    return Hyperparameter("dropout", "number", log, 0.0, 1.0, (), values)


def test_an_inactive_number_stands_at_the_mean_of_the_active_ones():
    found = column(_number({"a": 0.2, "b": 0.6}), ["a", "b", "c"])
    np.testing.assert_allclose(found, [0.2, 0.6, 0.4])
    found = column(_number({"a": 1.0, "b": 100.0}, log=True), ["a", "b", "c"])
    np.testing.assert_allclose(np.exp(found), [1.0, 100.0, 10.0])


def test_an_inactive_choice_stands_at_the_mean_too_and_one_never_active_says_nothing():
    item = Hyperparameter("l2", "choice", False, None, None, ("0", "1e-6"), {"a": "0", "b": "1e-6"})
    np.testing.assert_allclose(column(item, ["a", "b", "c"]), [0, 1, 0.5])
    np.testing.assert_allclose(column(item, ["c", "d"]), [0, 0])


@pytest.mark.parametrize(("varied", "needed"), [(4, 20), (9, 27)])
def test_more_hyperparameters_take_more_trials(finished, varied, needed):
    search = search_facts(finished)
    items = search.hyperparameters[:1] * varied
    facts = importance_facts(replace(search, hyperparameters=items, history=search.history[:26]))
    assert (facts.trials, facts.varied, facts.needed) == (26, varied, needed)
    assert bool(facts.overall) == (needed <= 26)
    assert facts.top_half == ()
