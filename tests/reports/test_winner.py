from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.reports.finish_figures import contenders
from cars_bench.reports.optimism import optimism
from cars_bench.reports.sources import read_sources
from cars_bench.reports.winner import CONTENDERS, winner_facts


def test_the_best_few_stand_in_order_and_one_of_them_wins(finished):
    facts = winner_facts(finished)
    assert facts is not None
    assert len(facts.contenders) == CONTENDERS
    assert [item.winner for item in facts.contenders].count(True) == 1
    assert facts.chosen.trial_id == finished.winner.trial_id
    assert not facts.contenders[0].tied
    assert facts.seeds == 0


def test_new_seeds_stand_beside_the_score_that_picked_the_head(finished):
    best = finished.winner.trial_id
    trials = tuple(
        replace(item, repeats=[{"score": 0.5}, {"reason": "lost"}])
        if item.trial_id == best else item for item in finished.trials
    )  # fmt: skip
    board = tuple(
        replace(row, score=0.25, single=0.6, repeats=2) if row.trial_id == best else row
        for row in finished.board
    )
    chosen = winner_facts(replace(finished, trials=trials, board=board)).chosen
    assert (chosen.score, chosen.single, chosen.seeds) == (0.25, 0.6, (0.5, 0.0))


def test_the_figure_says_who_wins_and_who_is_tied(finished):
    facts = winner_facts(finished)
    drawn = contenders(facts)
    assert f"{facts.chosen.trial_id}, winner" in drawn
    assert ", tied" in drawn


def test_before_a_search_there_is_no_winner(drawn):
    assert winner_facts(read_sources(drawn("extracted"))) is None


def test_what_the_search_measured_goes_before_an_estimate(finished):
    study = finished.study | {"winner": {"expected_drop": 0.0125}}
    measured, estimated = optimism(replace(finished, study=study)), optimism(finished)
    assert (measured.paired, measured.expected) == (True, pytest.approx(0.0125))
    assert not estimated.paired
