from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.render import environment
from cars_bench.reports.report import gather
from cars_bench.reports.sections.winner import (
    CONTENDERS,
    WinnerFacts,
    expected_optimism,
    facts,
    figure,
    optimism,
    table,
)
from cars_bench.tuning.ledger import Repeat
from cars_bench.tuning.ranking import pack


def test_the_best_few_stand_in_order_and_one_of_them_wins(finished):
    found = facts(finished)
    assert found is not None
    assert len(found.contenders) == CONTENDERS
    assert [item.winner for item in found.contenders].count(True) == 1
    assert found.chosen.trial_id == finished.winner.trial_id
    assert not found.contenders[0].tied
    assert found.seeds == 0


def test_new_seeds_stand_beside_the_score_that_picked_the_head(finished):
    best = finished.winner.trial_id
    trials = tuple(
        replace(item, repeats=(Repeat(repeat=1, seed=1, score=0.5), Repeat(repeat=2, seed=2)))
        if item.trial_id == best else item for item in finished.trials
    )  # fmt: skip
    board = tuple(
        replace(row, score=0.25, single=0.6, repeats=2) if row.trial_id == best else row
        for row in finished.board
    )
    chosen = facts(replace(finished, trials=trials, board=board)).chosen
    assert (chosen.score, chosen.single, chosen.seeds) == (0.25, 0.6, (0.5, 0.0))


def test_the_figure_says_who_wins_and_who_is_tied(finished):
    found = facts(finished)
    drawn = figure(found)["contenders"]
    assert f"{found.chosen.trial_id}, winner" in drawn
    assert ", tied" in drawn


def test_before_a_search_there_is_no_winner(drawn):
    assert facts(read_inputs(drawn("extracted"))) is None


def test_what_the_search_measured_goes_before_an_estimate(finished):
    study = finished.study | {"winner": {"expected_drop": 0.0125}}
    measured, estimated = optimism(replace(finished, study=study)), optimism(finished)
    assert (measured.paired, measured.expected) == (True, pytest.approx(0.0125))
    assert not estimated.paired


def _answered(inputs, **right):
    """The best trials with their answers in the ledger: shares of 200 images named right."""
    answers = {name: pack(np.arange(200) < 200 * share) for name, share in right.items()}
    trials = tuple(
        replace(t, correct=answers.get(t.trial_id, ""), score=right.get(t.trial_id, t.score))
        for t in inputs.trials
    )
    return replace(inputs, trials=trials)


def test_runners_up_differ_from_the_winner_on_the_same_images(finished):
    best = finished.winner.trial_id
    other = next(t.trial_id for t in finished.ranked if t.kind == "trial" and t.trial_id != best)
    known = facts(_answered(finished, **{best: 0.6, other: 0.55}))
    found = {item.trial_id: item.difference for item in known.contenders}
    assert found[best] is None
    assert found[other].value == pytest.approx(-0.05)
    assert found[other].high < 0, "nested answers: the loser is never right where the winner errs"
    assert known.paired
    assert sum(item is not None for item in found.values()) == 1


def test_without_answers_in_the_ledger_no_difference_is_given(finished):
    found = facts(finished)
    assert not found.paired
    assert {item.difference for item in found.contenders} == {None}


def test_a_change_within_noise_is_called_so(finished):
    found = optimism(finished)
    assert found.head == finished.run.record["trial_id"]
    assert found.change.low < found.change.value < found.change.high
    assert found.change.value == pytest.approx(found.test - found.validation)
    assert not found.settled
    assert "within noise" in _section(finished)


def test_the_scores_of_the_winner_are_told_apart(finished):
    report = gather(finished)
    winner = replace(report.winner.chosen, seeds=(0.5, 0.52), score=0.51, single=0.6)
    page = _section(finished, winner=WinnerFacts((winner,)))
    assert "60.0% when it was picked, 51.0% as the mean of 2 trainings with new seeds" in page
    assert "when it was picked," not in _section(finished)


def test_the_page_says_that_the_comparison_is_paired(finished):
    best = finished.winner.trial_id
    other = next(t.trial_id for t in finished.ranked if t.kind == "trial" and t.trial_id != best)
    page = _section(_answered(finished, **{best: 0.6, other: 0.55}))
    assert "paired bootstrap over images" in page
    assert "-5.0 (" in page
    assert "paired bootstrap over images" not in _section(finished)


def _section(inputs, **changes):
    """The section of the winner as HTML."""
    report = replace(gather(inputs), **changes)
    text = '{% import "macros.html.j2" as ui %}{% include "sections/winner.html.j2" %}'
    shown = {"report": report, "drawings": {"contenders": ""}, "numbers": table(report.winner)}
    return environment().from_string(text).render(shown)


def test_optimism_grows_with_the_number_of_equal_heads_and_vanishes_without_noise():
    few, many = (expected_optimism(np.full(n, 0.5), np.full(n, 0.01)) for n in (2, 50))
    assert 0 < few < many
    assert expected_optimism(np.array([0.5, 0.6]), np.zeros(2)) == 0.0


def test_optimism_stands_beside_what_happened(finished):
    found = optimism(finished)
    assert found is not None
    assert found.trials == 29
    assert found.test == finished.run.accuracy("frozen", "test")["top1"]["value"]
