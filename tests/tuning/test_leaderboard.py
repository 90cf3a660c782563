"""Rows, ties, repeats, and who wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cars_bench.documents import to_json
from cars_bench.errors import NoTrialCompleted
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
from cars_bench.tuning.leaderboard import (
    best_trial,
    leaderboard,
    mean_beside,
    no_head_beats,
    why_chosen,
    winners_curse,
)
from cars_bench.tuning.ledger import Ledger, Repeat, TrialOutcome
from cars_bench.tuning.ranking import pack
from tests.tuning.studies import begin_trial, fail_trial, write_probe, write_study, write_trial

COUNT = 300


def right(share: float) -> np.ndarray:
    """Answers that differ from others only where they must: the first images are right."""
    return np.arange(COUNT) < share * COUNT


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study")


def test_rows_come_best_first_with_failed_and_running_ones_last(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.5))
        fail_trial(ledger, 1, "out of memory")
        begin_trial(ledger, 2)
        write_trial(ledger, 3, right(0.7))
    rows = leaderboard(study)
    assert [row.trial_id for row in rows] == ["t0003", "t0000", "t0002", "t0001"]
    assert [row.tied for row in rows] == [True, False, False, False]
    assert rows[3].reason == "out of memory"


def test_the_smallest_head_wins_among_the_tied(study):
    close = right(0.7)
    close[-2:] = True
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, close, units=512)
        write_trial(ledger, 1, right(0.7), units=16)
        write_trial(ledger, 2, right(0.4), units=1)
    assert [row.tied for row in leaderboard(study)] == [True, True, False]
    assert best_trial(study).trial_id == "t0001"


def test_a_repeated_head_is_judged_by_its_repeats_alone(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.9), repeats=(right(0.5), right(0.6)))
        write_trial(ledger, 1, right(0.8), repeats=(right(0.75), right(0.77)))
        write_trial(ledger, 2, right(0.79))
    first, second, third = leaderboard(study)
    assert (first.trial_id, first.repeats, first.single) == ("t0001", 2, pytest.approx(0.8))
    assert first.score == pytest.approx(0.76, abs=0.005)
    assert first.low < first.score < first.high
    assert (second.trial_id, third.trial_id) == ("t0000", "t0002")
    assert best_trial(study).trial_id == "t0001"


def test_a_carried_training_is_told_from_the_mean_that_its_head_goes_by(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.6))
        write_trial(ledger, 1, right(0.9), repeats=(right(0.5), right(0.6)))
    assert mean_beside(study, "t0000", 0.6) == ""
    assert mean_beside(study, "t0009", 0.6) == ""
    said = mean_beside(study, "t0001", 0.6)
    assert said.startswith("frozen val is that of the training")
    assert "55.0%, its mean over 2 new seeds" in said


def test_a_repeat_that_failed_counts_as_nothing_right(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.8), repeats=(right(0.8),))
        ledger.repeat("t0000", Repeat(repeat=2, seed=2, reason="the loss became inf"))
    assert leaderboard(study)[0].score == pytest.approx(0.4)


def test_a_head_that_does_not_beat_the_probes_says_so(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.6))
        write_trial(ledger, 1, right(0.8))
        write_probe(ledger, "ridge", right(0.7))
    said = {row.trial_id: row.beats_probes for row in leaderboard(study)}
    assert list(said.items()) == [("t0001", True), ("probe-ridge", None), ("t0000", False)]


def test_a_winner_that_is_not_the_best_has_its_reason_told(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.6), units=90)
        write_trial(ledger, 1, right(0.59), units=10)
    rows = leaderboard(study)
    assert best_trial(study).trial_id == "t0001"
    told = why_chosen(rows, "t0001")
    assert told == "the smallest head that cannot be told from t0000 (60.0%)"
    assert why_chosen(rows, "t0000") == ""


def test_ledgers_without_answers_are_compared_by_their_intervals(study):
    with Ledger(study.ledger_path) as ledger:
        for number, score in enumerate([0.50, 0.60, 0.585]):
            write_trial(ledger, number, score=score)
    assert [(row.trial_id, row.tied) for row in leaderboard(study)] == [
        ("t0001", True), ("t0002", True), ("t0000", False),
    ]  # fmt: skip
    assert winners_curse(study) is None


def test_without_a_completed_trial_there_is_no_winner(study):
    assert leaderboard(study) == ()
    with pytest.raises(NoTrialCompleted):
        best_trial(study)


def test_the_drop_is_compared_with_the_test_result_once_there_is_one(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.8))
    assert winners_curse(study).observed_drop is None
    assert winners_curse(study, 0.7).observed_drop == pytest.approx(0.1)


def test_the_mean_over_new_seeds_decides_whether_the_probes_are_beaten(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.9), repeats=(right(0.6), right(0.6)))
        write_trial(ledger, 1, right(0.5), repeats=(right(0.55),))
    rows = leaderboard(study)
    assert {row.beats_probes for row in rows} == {None}
    assert no_head_beats(rows, "t0000") is None
    with Ledger(study.ledger_path) as ledger:
        write_probe(ledger, "knn", right(0.4))
        write_probe(ledger, "ridge", right(0.7))
    rows = leaderboard(study)
    assert no_head_beats(rows, "t0000").trial_id == "probe-ridge"
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 2, right(0.7), repeats=(right(0.75),))
    assert no_head_beats(leaderboard(study), "t0002") is None


def test_rows_tell_scripts_what_they_hold(study):
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right(0.8), repeats=(right(0.7),))
        write_probe(ledger, "ridge", right(0.6))
    trial, probe = (row.to_json() for row in leaderboard(study))
    assert trial["head"] == to_json(HeadSpec(layers=(DenseLayer(8),)))
    assert trial["training"] == to_json(TrainingSpec())
    assert (trial["repeats"], trial["single"], trial["epochs"]) == (1, 0.8, 0)
    assert (probe["head"], probe["training"], probe["beats_probes"]) == (None, None, None)
    assert list(trial) == list(probe)


ANSWERS = np.random.default_rng(0).random((5, 4, 40)) < 0.7
REPEATS = [(number, repeat) for number in range(5) for repeat in (1, 2, 3)]


def end(ledger, trial):
    """Score near the others'."""
    correct = ANSWERS[trial.number, 0]
    outcome = TrialOutcome(score=float(correct.mean()), parameters=8, correct=pack(correct))
    ledger.ended(trial.ended(replace(outcome, low=0.0, high=1.0)))


def repeat(ledger, number, place):
    """Train a trial again."""
    correct = ANSWERS[number, place]
    again = Repeat(repeat=place, seed=place, score=float(correct.mean()), correct=pack(correct))
    ledger.repeat(f"t{number:04d}", again)


def verdict(study, ends, repeats):
    """Winner, rows, and curse of a ledger whose events came in this order."""
    with Ledger(study.ledger_path) as ledger:
        trials = [begin_trial(ledger, number) for number in range(5)]
        for number in ends:
            end(ledger, trials[number])
        for name in ("ridge", "knn")[:: 1 if ends[0] < ends[1] else -1]:
            write_probe(ledger, name, ANSWERS[0, 0])
        for number, place in repeats:
            repeat(ledger, number, place)
    rows = [row.to_json() for row in leaderboard(study)]
    return best_trial(study).trial_id, rows, winners_curse(study)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("in_order") / "study")
    return verdict(study, range(5), REPEATS)


@given(ends=st.permutations(range(5)), repeats=st.permutations([*REPEATS, *REPEATS[:4]]))
@settings(max_examples=60, deadline=None)
def test_the_order_in_which_events_reached_the_ledger_decides_nothing(
    tmp_path_factory, expected, ends, repeats
):
    study = write_study(tmp_path_factory.mktemp("any") / "study")
    assert verdict(study, ends, repeats) == expected
