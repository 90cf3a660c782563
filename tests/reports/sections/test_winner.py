from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.render import environment
from cars_bench.reports.report import gather
from cars_bench.reports.sections.winner import (
    CONTENDERS,
    facts,
    figure,
    optimism,
    table,
)
from cars_bench.tuning.leaderboard import winners_curse
from cars_bench.tuning.ledger import Repeat
from cars_bench.tuning.ranking import pack
from tests.reports.changes import with_row, with_trials
from tests.reports.pages import sketched


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
    again = (Repeat(repeat=1, seed=1, score=0.5), Repeat(repeat=2, seed=2))
    trial = replace(finished.winner.trial, repeats=again, score=0.6)
    chosen = facts(with_row(finished, best, trial=trial, score=0.25)).chosen
    assert (chosen.score, chosen.single, chosen.seeds) == (0.25, 0.6, (0.5, 0.0))


def test_the_figure_says_who_wins_and_who_is_tied(finished):
    found = facts(finished)
    drawn = figure(found)["contenders"]
    assert f"★ {found.chosen.trial_id}, winner" in drawn
    assert ", tied" in drawn


def test_before_a_search_there_is_no_winner(drawn):
    assert facts(read_inputs(drawn("extracted"))) is None


def test_what_the_win_is_worth_is_the_leaderboards(finished):
    curse = winners_curse(finished.study)
    found = optimism(finished)
    assert (found.trials, found.expected) == (curse.candidates, curse.expected_drop)
    assert found.trials == 29
    assert optimism(replace(finished, curse=None)) is None
    assert optimism(replace(finished, curse=replace(curse, candidates=1))) is None


def _answered(inputs, **right):
    """The best trials with their answers in the ledger: shares of 200 images named right."""
    answers = {name: pack(np.arange(200) < 200 * share) for name, share in right.items()}
    return with_trials(inputs, **{
        row.trial_id: replace(
            row.trial,
            correct=answers.get(row.trial_id, ""),
            score=right.get(row.trial_id, row.trial.score),
        )
        for row in inputs.board
    })  # fmt: skip


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
    found = facts(_answered(finished))
    assert not found.paired
    assert {item.difference for item in found.contenders} == {None}


def test_a_change_within_noise_is_called_so(finished):
    found = optimism(finished)
    assert found.head == finished.run.record.trial_id
    assert found.change.low < found.change.value < found.change.high
    assert found.change.value == pytest.approx(found.test - found.validation)
    assert not found.settled
    assert "within noise" in _section(finished)


def _with_repeats(inputs, single):
    """The frozen head trained again three times, with a mean of 0.5."""
    trial_id = inputs.frozen_trial
    again = tuple(Repeat(repeat=number, seed=number, score=0.5) for number in (1, 2, 3))
    trial = replace(inputs.frozen_row.trial, repeats=again, score=single)
    return with_row(inputs, trial_id, trial=trial, score=0.5)


def test_the_numbers_of_one_head_are_named_by_the_training_they_are_of(finished):
    carried = finished.run.score("frozen", "val").top1.value
    found = facts(_with_repeats(finished, 0.7))
    assert found.head == finished.run.record.trial_id
    assert [(item.score, item.shown) for item in found.trainings] == [
        (0.5, True),
        (0.7, False),
        (carried, False),
    ]
    page = _section(_with_repeats(finished, 0.7))
    assert 'Mean of 3 trainings with new seeds</th><td class="num"><b>50.0%</b>' in page
    assert "the head was picked for it, so it flatters" in page


def test_a_training_that_picked_the_head_and_is_carried_is_one_number(finished):
    carried = finished.run.score("frozen", "val").top1.value
    (_, own) = facts(_with_repeats(finished, carried)).trainings
    assert own.score == carried
    assert "picked for it" in own.about
    assert "weights are kept" in own.about


def test_before_fine_tuning_the_stored_training_is_told(evaluated_winner, drawn):
    *_, stored = facts(evaluated_winner).trainings
    assert stored.score == evaluated_winner.head.record.score
    assert len(facts(read_inputs(drawn("tuned"))).trainings) == 1


def test_a_winner_that_was_evaluated_tells_what_happened_from_validation_to_test(evaluated_winner):
    found = optimism(evaluated_winner)
    assert found.head == evaluated_winner.winner.trial_id
    assert found.validation == evaluated_winner.head.record.score
    assert found.test == evaluated_winner.score("frozen", "test").top1.value
    assert found.change.value == pytest.approx(found.test - found.validation)


def test_the_page_says_that_the_comparison_is_paired(finished):
    best = finished.winner.trial_id
    other = next(t.trial_id for t in finished.ranked if t.kind == "trial" and t.trial_id != best)
    page = _section(_answered(finished, **{best: 0.6, other: 0.55}))
    assert "paired bootstrap over images" in page
    assert "-5.0 (" in page
    assert "paired bootstrap over images" not in _section(_answered(finished))


def _section(inputs, **changes):
    """The section of the winner as HTML."""
    with sketched():
        report = replace(gather(inputs), **changes)
    text = '{% import "macros.html.j2" as ui %}{% include "sections/winner.html.j2" %}'
    shown = {"report": report, "drawings": {"contenders": ""}, "numbers": table(report.winner)}
    return environment().from_string(text).render(shown)


def test_optimism_stands_beside_what_happened(finished):
    found = optimism(finished)
    assert found is not None
    assert found.test == finished.run.score("frozen", "test").top1.value
