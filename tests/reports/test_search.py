from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.reports.search import best_so_far, hyperparameters, search_facts
from cars_bench.tuning.ledger import TrialRecord


def test_counts_tell_completed_failed_and_running(finished):
    facts = search_facts(finished)
    assert facts is not None
    assert (facts.completed, facts.failed, facts.running, facts.planned) == (29, 1, 1, 30)


def test_completed_rows_come_first_and_are_ranked(finished):
    rows = search_facts(finished).rows
    assert [row.rank for row in rows] == [*range(1, 33), 0, 0]
    assert [row.status for row in rows[-2:]] == ["running", "failed"]
    assert rows[-1].note == "loss is not finite"


def test_one_row_is_the_winner_and_it_is_not_tied_with_itself(finished):
    winners = [row for row in search_facts(finished).rows if row.winner]
    assert [row.tied for row in winners] == [False]


def test_trials_that_ended_before_their_budget_are_marked_stopped(finished):
    stopped = {row.epochs for row in search_facts(finished).rows if row.stopped}
    assert stopped == {8}


@given(st.lists(st.floats(0, 1), min_size=1))
def test_the_best_so_far_never_falls_and_ends_at_the_maximum(scores):
    points = best_so_far((n, f"t{n}", score) for n, score in enumerate(scores))
    values = [value for _, value in points]
    assert values == sorted(values)
    assert values[-1] == max(scores)


def _trial(number: int, score: float, **values: object) -> TrialRecord:
    return TrialRecord(f"t{number}", number, values, {}, {}, status="completed", score=score)


def test_a_hyperparameter_that_never_varied_is_left_out():
    trials = [_trial(0, 0.1, rate=0.1, batch=64), _trial(1, 0.2, rate=0.2, batch=64)]
    assert [item.name for item in hyperparameters(trials, {})] == ["rate"]


@pytest.mark.parametrize(
    ("best", "edge"), [(1e-4, "low"), (1.1e-4, "low"), (1e-2, ""), (0.97, "high")]
)
def test_an_optimum_at_the_edge_of_a_log_range_is_flagged(best, edge):
    space = {"hyperparameters": {"rate": {"type": "float", "min": 1e-4, "max": 1.0, "log": True}}}
    trials = [_trial(0, 0.1, rate=0.05), _trial(1, 0.9, rate=best)]
    (found,) = hyperparameters(trials, space)
    assert (found.log, found.edge) == (True, edge)


def test_a_choice_keeps_the_order_of_the_space():
    space = {"hyperparameters": {"optimizer": {"type": "choice", "values": ["sgd", "adam"]}}}
    trials = [_trial(0, 0.1, optimizer="adam"), _trial(1, 0.2, optimizer="sgd")]
    (found,) = hyperparameters(trials, space)
    assert (found.kind, found.options) == ("choice", ("sgd", "adam"))
