from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.reports.facts import gather
from cars_bench.reports.inputs import Sources
from cars_bench.reports.page import drawings
from cars_bench.reports.render import environment
from cars_bench.reports.search import (
    Hyperparameter,
    best_so_far,
    hyperparameters,
    number_text,
    search_facts,
)
from cars_bench.reports.search_figures import slices, ticks
from cars_bench.tuning.ledger import Trial


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


def _trial(number: int, score: float, **values: object) -> Trial:
    return Trial(
        trial_id=f"t{number}", number=number, values=values, status="completed", score=score
    )


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


def _choices(name: str, values: list[object], *seen: object) -> Hyperparameter:
    """A choice of `values` that trials took as `seen`; the last one is the best."""
    space = {"hyperparameters": {name: {"type": "choice", "values": values}}}
    trials = [_trial(n, 0.1 + 0.1 * n, **{name: value}) for n, value in enumerate(seen)]
    (found,) = hyperparameters(trials, space)
    return found


@pytest.mark.parametrize(("best", "edge"), [(0.0, "limit"), (1e-6, ""), (1e-5, ""), (1e-4, "high")])
def test_a_choice_of_numbers_has_its_edges_at_the_first_and_last_choice(best, edge):
    found = _choices("l2", [0.0, 1e-6, 1e-5, 1e-4], 1e-5 if best == 1e-6 else 1e-6, best)
    assert found.edge == edge
    assert found.options[:4] == ("0", "1e-6", "1e-5", "0.0001")


def test_the_smallest_batch_is_an_edge_that_can_be_widened():
    found = _choices("batch_size", [32, 64, 128, 256], 64, 32)
    assert (found.edge, found.options) == ("low", ("32", "64", "128", "256"))


@pytest.mark.parametrize(
    ("values", "best"), [(["adam", "sgd"], "adam"), ([False, True], True), ([1, 2, 4, 0], 0)]
)
def test_choices_without_an_order_have_no_edge(values, best):
    assert _choices("choice", values, values[1], values[0], best).edge == ""


def test_nothing_below_nought_is_called_a_limit_not_an_edge():
    space = {"hyperparameters": {"dropout": {"type": "float", "min": 0.0, "max": 0.5}}}
    trials = [_trial(0, 0.1, dropout=0.4), _trial(1, 0.2, dropout=0.0)]
    assert hyperparameters(trials, space)[0].edge == "limit"


def test_the_winner_decides_the_edge_though_another_score_is_higher():
    space = {"hyperparameters": {"rate": {"type": "float", "min": 0.1, "max": 1.0}}}
    trials = [_trial(0, 0.1, rate=0.5), _trial(1, 0.9, rate=1.0)]
    assert hyperparameters(trials, space)[0].edge == "high"
    assert hyperparameters(trials, space, trials[0])[0].edge == ""


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0, 3, False, [0, 1, 2, 3]),
        (0, 9, False, [0, 4, 9]),
        (64, 1024, True, [64, 256, 1024]),
        (64, 512, True, [64, 181, 512]),
    ],
)
def test_whole_numbers_have_whole_ticks(low, high, log, expected):
    item = Hyperparameter("units", "number", log, float(low), float(high), (), {}, "", True)
    assert ticks(item) == expected
    assert all(isinstance(tick, int) for tick in ticks(item))


@pytest.mark.parametrize(
    ("value", "text"), [(1024, "1024"), (1024.0, "1024"), (1e-6, "1e-6"), (0.0, "0"), (0.5, "0.5")]
)
def test_numbers_are_labelled_in_full(value, text):
    assert number_text(value) == text


def test_slices_are_a_figure_each_and_mark_the_winner(finished):
    search = search_facts(finished)
    drawn = slices(search)
    assert drawn.count("<svg ") == len(search.hyperparameters) == 4
    values = next(item for item in search.hyperparameters if item.name == "optimizer").values
    assert f"the winner has {values[search.winner]}" in drawn
    assert drawn.count("var(--vermillion)") >= 4


def test_columns_in_which_all_trials_agree_are_named_once(finished):
    search = search_facts(finished)
    assert search.constant == {"batch_size": 64}
    rows = tuple(replace(row, epochs=12) for row in search.rows)
    page = _section(finished, search=replace(search, rows=rows))
    assert "The same in all trials: batch 64, epochs 12." in page
    assert ">Epochs</th>" not in page.split('id="trials"')[1]
    assert ">Rate</th>" in page


def test_the_table_scrolls_within_the_page_only_when_it_is_long(finished):
    search = search_facts(finished)
    assert 'class="scroll tall"><table id="trials"' in _section(finished)
    short = _section(finished, search=replace(search, rows=search.rows[:30]))
    assert 'class="scroll"><table id="trials"' in short


def test_captions_say_only_what_is_drawn(finished):
    search = search_facts(finished)
    page = _section(finished)
    assert "the probes as lines" in page
    assert "A cross ends" in page
    rows = tuple(replace(row, stopped=False) for row in search.rows)
    page = _section(finished, search=replace(search, probes=(), rows=rows))
    assert "the probes as lines" not in page
    assert "A cross ends" not in page


def test_every_figure_of_the_search_has_its_heading(finished):
    page = _section(finished)
    for title in ("History", "Learning curves", "Importance of hyperparameters", "Slices"):
        assert f"<h3>{title}</h3>" in page


def test_too_few_trials_for_importance_are_said_with_what_it_takes(finished):
    assert "over the better half alone, 14 trials: that takes 20, so 40 in all" in _section(
        finished
    )
    few = replace(gather(finished).importance, overall=(), trials=20, varied=15, needed=45)
    page = _section(finished, importance=few)
    assert "Not estimated from 20 trials: with 15 hyperparameters that varied it takes 45." in page


def test_a_trial_tells_its_own_score_from_the_mean_of_new_seeds(finished):
    best = finished.winner.trial_id
    board = tuple(
        replace(row, score=0.25, single=0.6, repeats=3) if row.trial_id == best else row
        for row in finished.board
    )
    (row,) = [r for r in search_facts(replace(finished, board=board)).rows if r.winner]
    assert (row.score, row.single, row.seeds) == (0.25, 0.6, 3)


def _section(sources: Sources, **changes: object) -> str:
    """The search section as HTML."""
    report = replace(gather(sources), **changes)
    text = '{% import "macros.html.j2" as ui %}{% include "sections/search.html.j2" %}'
    shown = {"report": report, "missing": {}, "numbers": {}, "drawings": drawings(report)}
    return environment().from_string(text).render(shown)
