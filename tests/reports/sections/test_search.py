from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cars_bench.reports.inputs import Inputs
from cars_bench.reports.page import figures, tables
from cars_bench.reports.render import environment
from cars_bench.reports.report import gather
from cars_bench.reports.sections.search import best_so_far, facts, figure, table
from cars_bench.tuning.ledger import Repeat
from tests.reports.changes import with_row
from tests.reports.pages import sketched


def test_counts_tell_completed_failed_and_running(finished):
    found = facts(finished)
    assert found is not None
    assert (found.completed, found.failed, found.running, found.planned) == (29, 1, 1, 30)


def test_completed_rows_come_first_and_are_ranked(finished):
    rows = facts(finished).rows
    assert [row.rank for row in rows] == [*range(1, 33), 0, 0]
    assert [row.status for row in rows[-2:]] == ["running", "failed"]
    assert rows[-1].note == "loss is not finite"


def test_one_row_is_the_winner_and_it_is_not_tied_with_itself(finished):
    winners = [row for row in facts(finished).rows if row.winner]
    assert [row.tied for row in winners] == [False]


def test_trials_that_ended_before_their_budget_are_marked_stopped(finished):
    stopped = {row.epochs for row in facts(finished).rows if row.stopped}
    assert stopped == {8}


@given(st.lists(st.floats(0, 1), min_size=1))
def test_the_best_so_far_never_falls_and_ends_at_the_maximum(scores):
    points = best_so_far((n, f"t{n}", score) for n, score in enumerate(scores))
    values = [value for _, value in points]
    assert values == sorted(values)
    assert values[-1] == max(scores)


def test_columns_in_which_all_trials_agree_are_named_once(finished):
    search = facts(finished)
    assert search.constant == {"batch_size": 64}
    rows = tuple(replace(row, epochs=12) for row in search.rows)
    page = _section(finished, search=replace(search, rows=rows))
    assert "The same in all trials: batch 64, epochs 12." in page
    assert ">Epochs</th>" not in page.split('id="trials"')[1]
    assert ">Rate</th>" in page


def test_the_table_scrolls_within_the_page_only_when_it_is_long(finished):
    search = facts(finished)
    assert re.search(r'class="scroll tall" [^>]*><table id="trials"', _section(finished))
    short = _section(finished, search=replace(search, rows=search.rows[:30]))
    assert re.search(r'class="scroll" [^>]*><table id="trials"', short)


def test_captions_say_only_what_is_drawn(finished):
    search = facts(finished)
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


def test_too_few_trials_for_importance_are_said_with_what_it_takes(finished, report):
    assert "over the better half alone, 14 trials: that takes 20, so 40 in all" in _section(
        finished
    )
    few = replace(report.importance, overall=(), trials=20, varied=15, needed=45)
    page = _section(finished, importance=few)
    assert "Not estimated from 20 trials: with 15 hyperparameters that varied it takes 45." in page


def test_a_trial_tells_its_own_score_from_the_mean_of_new_seeds(finished):
    again = tuple(Repeat(repeat=number, seed=number, score=0.25) for number in (1, 2, 3))
    trial = replace(finished.winner.trial, repeats=again, score=0.6)
    changed = with_row(finished, trial.trial_id, trial=trial, score=0.25)
    (row,) = [r for r in facts(changed).rows if r.winner]
    assert (row.score, row.single, row.seeds) == (0.25, 0.6, 3)


def _section(inputs: Inputs, **changes: object) -> str:
    """The search section as HTML."""
    with sketched():
        report = replace(gather(inputs), **changes)
        drawings = figures(report)
    text = '{% import "macros.html.j2" as ui %}{% include "sections/search.html.j2" %}'
    shown = {"report": report, "missing": {}, "numbers": {}, "drawings": drawings}
    return environment().from_string(text).render(shown)


def test_a_curve_is_written_out_epoch_by_epoch(report):
    row = table(report.search)["curves"].rows[0]
    assert len(row[3].split()) == int(row[1])


def test_epochs_are_whole_numbers_on_the_axis(report):
    curves = figure(replace(report.search, rows=_ran(report.search.rows, 5)))["curves"]
    words = re.findall(r"<text[^>]*>([\d.]+)</text>", curves)
    assert words
    assert not [word for word in words if "." in word]


def _ran(rows, epochs):
    return tuple(replace(row, curve=row.curve[:epochs]) for row in rows)


def test_one_head_is_said_in_the_singular(finished):
    search = facts(finished)
    assert "1 head tried" in _section(finished, search=replace(search, completed=1, planned=1))


def test_the_winner_bears_one_mark_in_every_table_and_figure(finished, report):
    winner = finished.winner.trial_id
    for name, cells in tables(report).items():
        column = 0 if name in ("curves", "slices") else 1
        if name in ("history", "curves", "slices"):
            marks = [row[column] for row in cells.rows if "★" in row[column]]
            assert marks == [f"★ {winner}"], name
    drawn = figures(report)
    assert f"a star marks the winner, {winner}" in drawn["history"]
    assert f"★ {winner}, winner" in drawn["contenders"]
    page = _section(finished)
    assert page.count("<b>★ winner</b>") == 1


def test_the_best_so_far_is_said_to_be_of_single_trainings(finished, report):
    assert table(report.search)["history"].headings[2:] == (
        "Its own training",
        "Best training so far",
    )
    assert "best single training reaches" in figures(report)["history"]
    again = (Repeat(repeat=1, seed=1, score=0.25),)
    trial = replace(finished.winner.trial, repeats=again)
    repeated = with_row(finished, trial.trial_id, trial=trial, score=0.25)
    assert "number is the mean of those trainings, in the table below" in _section(repeated)


def test_a_winner_that_is_not_the_first_says_why_it_won(finished):
    found = facts(finished)
    rows = tuple(replace(row, rank=2) if row.winner else row for row in found.rows)
    page = _section(finished, search=replace(found, rows=rows))
    assert "<b>★ winner</b>, the smallest of those tied with the first" in page
