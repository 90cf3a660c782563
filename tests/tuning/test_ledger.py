"""The ledger survives being cut anywhere in its last line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cars_bench.documents import to_json
from cars_bench.errors import CarsBenchError
from cars_bench.training.checkpoint import EpochResult
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.ledger import (
    Ledger,
    Repeat,
    Trial,
    TrialOutcome,
    busy_seconds,
    read_events,
    read_trials,
)
from cars_bench.tuning.ranking import pack
from cars_bench.workspace import write_text

ANSWERS = pack(np.array([True, False]))
TRIAL = Trial(
    trial_id="t0000", number=0, values={"depth": 1}, head=HeadSpec(), training=TrainingSpec()
)
OUTCOME = TrialOutcome(
    score=0.5, low=0.4, high=0.6, best_epoch=1, parameters=7, seconds=1.5, correct=ANSWERS
)


def epoch(number: int) -> EpochResult:
    return EpochResult(
        epoch=number,
        train_loss=1.0,
        val_loss=0.9,
        val_top1=0.25,
        learning_rate=0.1,
        seconds=0.5,
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "study" / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.proposed(TRIAL)
        ledger.epoch("t0000", epoch(1))
        ledger.ended(TRIAL.ended(OUTCOME))
    return path


def test_its_lines_are_these(tmp_path):
    path = tmp_path / "ledger.jsonl"
    probe = Trial(trial_id="probe-ridge", values={"penalty": 0.1}, kind="probe")
    with Ledger(path) as ledger:
        ledger.proposed(TRIAL)
        ledger.started("t0000", 0)
        ledger.epoch("t0000", epoch(1))
        ledger.ended(TRIAL.ended(OUTCOME))
        ledger.ended(TRIAL.ended(TrialOutcome(reason="out of memory", seconds=0.5)))
        again = Repeat(repeat=1, seed=10, score=0.5, best_epoch=2, seconds=1.0, correct=ANSWERS)
        ledger.repeat("t0000", again)
        ledger.repeat("t0000", Repeat(repeat=2, seed=20, seconds=1.0, reason="out of memory"))
        ledger.proposed(probe)
        ledger.ended(probe.ended(TrialOutcome(score=0.5, low=0.4, high=0.6, correct=ANSWERS)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [list(line)[:3] for line in lines] == [["event", "trial_id", "time"]] * len(lines)
    assert [" ".join([line["event"], *[*line][3:]]) for line in lines] == [
        "proposed number values head training",
        "started after",
        "epoch epoch train_loss val_loss val_top1 learning_rate seconds",
        "completed score low high best_epoch parameters seconds correct",
        "failed reason seconds",
        "repeat repeat seed score best_epoch seconds correct",
        "repeat repeat seed seconds reason",
        "proposed kind values",
        "completed kind score low high seconds correct",
    ]
    assert lines[0]["head"] == to_json(HeadSpec())


def test_cut_at_every_byte_of_its_last_line_it_keeps_the_lines_before(path):
    whole = path.read_bytes()
    begin = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(begin, len(whole)):
        path.write_bytes(whole[:end])
        assert [event["event"] for event in read_events(path)] == ["proposed", "epoch"]
        with Ledger(path) as ledger:
            ledger.ended(TRIAL.ended(TrialOutcome(reason="again")))
        assert [event["event"] for event in read_events(path)][2:] == ["failed"]


def test_a_damaged_line_before_the_last_is_refused(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0][:-5], *lines[1:]]) + "\n")
    with pytest.raises(CarsBenchError, match="Line 1"):
        read_events(path)


NO_HEAD = {"event": "proposed", "trial_id": "t0001", "values": {}, "head": {"layers": 3}}
NO_END = {"event": "completed", "trial_id": "t0000"}


@pytest.mark.parametrize(
    "event",
    [
        {"event": "epoch", "trial_id": "t0009", "epoch": 2},
        {"event": "epoch", "trial_id": "t0000", "epoch": "two"},
        {"event": "started", "trial_id": "t0000"},
        {"event": "ended", "trial_id": "t0000"},
        {"trial_id": "t0000"},
        {},
        NO_HEAD,
        NO_END,
        NO_END | {"score": "high"},
        NO_END | {"score": 0.5, "correct": "12"},
        {"event": "repeat", "trial_id": "t0000", "score": 0.5},
    ],
)
def test_a_line_that_is_no_event_is_refused_by_its_number(path, event):
    write_text(path, path.read_text() + json.dumps(event) + "\n")
    with pytest.raises(CarsBenchError, match="Line 4"):
        read_trials(path)


def test_there_are_no_trials_without_a_ledger(tmp_path):
    assert read_trials(tmp_path / "none.jsonl") == ()


def test_a_trial_is_what_its_events_add_up_to(path):
    ended = replace(TRIAL, epochs=(epoch(1),)).ended(OUTCOME)
    assert read_trials(path) == (ended,)
    again = Repeat(repeat=1, seed=10, score=0.5, best_epoch=2, seconds=1.0, correct=ANSWERS)
    with Ledger(path) as ledger:
        ledger.repeat("t0000", again)
    assert read_trials(path) == (replace(ended, repeats=(again,)),)


@pytest.mark.parametrize(("after", "left"), [(0, 0), (2, 2), (3, 3)])
def test_a_restarted_trial_keeps_the_epochs_that_it_goes_on_from(tmp_path, after, left):
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.proposed(TRIAL)
        for number in (1, 2, 3):
            ledger.epoch("t0000", epoch(number))
        ledger.started("t0000", after)
    (trial,) = read_trials(path)
    assert len(trial.epochs) == left
    assert trial.status == "running"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_never_reach_it(path, value):
    with Ledger(path) as ledger, pytest.raises(ValueError, match="JSON"):
        ledger.ended(TRIAL.ended(TrialOutcome(score=value)))
    assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(10, 4)], 4),
        ([(10, 4), (12, 4)], 6),  # side by side for two seconds
        ([(10, 4), (10, 1), (8, 2)], 4),  # epochs inside a trial
        ([(110, 5), (10, 4)], 9),  # a pause between two sittings
    ],
)
def test_trainings_side_by_side_count_once(tmp_path, spans, seconds):
    events = [{"event": "completed", "time": time, "seconds": took} for time, took in spans]
    path = tmp_path / "ledger.jsonl"
    lines = [json.dumps(event) for event in [{"event": "started", "time": 500.0}, *events]]
    write_text(path, "\n".join(lines) + "\n")
    assert busy_seconds(path) == seconds
