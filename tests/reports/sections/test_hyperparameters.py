from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.reports.sections import search
from cars_bench.reports.sections.hyperparameters import facts, figure, table


@pytest.mark.parametrize(("varied", "needed"), [(4, 20), (9, 27)])
def test_more_hyperparameters_take_more_trials(finished, varied, needed):
    seen = search.facts(finished)
    items = seen.hyperparameters[:1] * varied
    seen = replace(seen, hyperparameters=items, history=seen.history[:26])
    found = facts(seen.varied)
    assert (found.trials, found.varied, found.needed) == (26, varied, needed)
    assert bool(found.overall) == (needed <= 26)
    assert found.top_half == ()


def test_importance_is_not_estimated_from_few_trials(finished):
    found = facts(search.facts(finished).varied)
    assert found is not None
    assert found.overall[0].name == "learning_rate"
    assert found.top_half == ()


def test_figures_and_tables_have_the_same_names(report):
    drawn = figure(report.search.varied, report.importance)
    assert set(drawn) == set(table(report.search.varied, report.importance))
    assert {"importance", "slices"} == set(drawn)
