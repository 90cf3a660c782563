"""The ledger survives being cut anywhere in its last line."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import math
import os
from dataclasses import asdict, replace

import numpy as np
import pytest

from cars_bench.atomic import write_text
from cars_bench.documents import to_json
from cars_bench.errors import RecordDamaged, UsageError
from cars_bench.training.checkpoint import EpochResult
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.ledger import (
    Ledger,
    Repeat,
    Trial,
    TrialOutcome,
    busy_seconds,
    end_times,
    read_events,
    read_trials,
)
from cars_bench.tuning.ranking import pack
from tests.tuning.studies import begin_trial

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
    assert {[*line][-1] for line in lines} == {"digest"}
    assert [" ".join([line["event"], *[*line][3:-1]]) for line in lines] == [
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
    lines = older(path)
    path.write_text("\n".join([lines[0][:-5], *lines[1:]]) + "\n")
    with pytest.raises(RecordDamaged, match="Line 1"):
        read_events(path)


def older(path) -> list[str]:
    """The lines as versions before digests wrote them."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [json.dumps({k: v for k, v in line.items() if k != "digest"}) for line in lines]


def test_a_ledger_without_digests_is_read_as_before_and_sealed_by_what_follows(path):
    trials = read_trials(path)
    write_text(path, "\n".join(older(path)) + "\n")
    assert read_trials(path) == trials
    with Ledger(path) as ledger:
        ledger.proposed(replace(TRIAL, trial_id="t0001", number=1))
    assert [trial.trial_id for trial in read_trials(path)] == ["t0000", "t0001"]
    write_text(path, path.read_text().replace('"val_top1": 0.25', '"val_top1": 0.75'))
    with pytest.raises(RecordDamaged, match="Line 4"):
        read_trials(path)


@pytest.mark.parametrize(
    ("written", "edited"), [("0.5,", "0.6,"), ('"best_epoch": 1', '"best_epoch": 2'), ("0.4", "0")]
)
def test_an_edited_line_is_refused_with_four(path, written, edited):
    assert written in path.read_text()
    write_text(path, path.read_text().replace(written, edited))
    with pytest.raises(RecordDamaged, match="is damaged") as caught:
        read_trials(path)
    assert caught.value.code == 4


def test_a_folder_in_its_place_is_refused(tmp_path):
    with pytest.raises(RecordDamaged, match="folder"):
        read_trials(tmp_path)


NO_HEAD = {"event": "proposed", "trial_id": "t0001", "values": {}, "head": {"layers": 3}}
NO_END = {"event": "completed", "trial_id": "t0001"}
REPEAT = {"event": "repeat", "trial_id": "t0000", "repeat": 1, "seed": 1}


@pytest.mark.parametrize(
    "event",
    [
        {"event": "epoch", "trial_id": "t0009", "epoch": 2},
        {"event": "epoch", "trial_id": "t0001", "epoch": "two"},
        {"event": "epoch", "trial_id": "t0001"} | asdict(epoch(1)) | {"val_top1": 7.5},
        {"event": "started", "trial_id": "t0001"},
        {"event": "started", "trial_id": "t0000", "after": 0},
        {"event": "ended", "trial_id": "t0001"},
        {"event": "proposed", "trial_id": "t0000", "values": {}},
        {"event": "proposed", "trial_id": "../t0002", "values": {}},
        {"trial_id": "t0001"},
        {},
        {"event": "failed", "trial_id": ["t0001"]},
        NO_HEAD,
        NO_END,
        NO_END | {"score": "high"},
        *(NO_END | {"score": score} for score in (7.5, 1e300, -3, math.nan, math.inf)),
        NO_END | {"score": 0.5, "low": -0.1},
        NO_END | {"score": 0.5, "low": 0.6, "high": 0.7},
        NO_END | {"score": 0.5, "best_epoch": -1},
        NO_END | {"score": 0.5, "parameters": -1},
        NO_END | {"score": 0.5, "seconds": -1},
        NO_END | {"score": 0.5, "seconds": math.nan},
        NO_END | {"score": 0.5, "correct": "12"},
        NO_END | {"score": 0.5, "correct": "9:gA=="},
        NO_END | {"score": 0.5, "correct": "0:"},
        NO_END | {"score": 0.75, "correct": ANSWERS},
        NO_END | {"score": 1.0, "correct": pack(np.ones(3, bool))},
        NO_END | {"trial_id": "t0000", "score": 0.5, "correct": ANSWERS},
        {"event": "failed", "trial_id": "t0000", "reason": "it did not"},
        {"event": "repeat", "trial_id": "t0000", "score": 0.5},
        REPEAT | {"trial_id": "t0001", "score": 0.5},
        REPEAT | {"score": 1.5},
        REPEAT | {"score": 0.75, "correct": ANSWERS},
        REPEAT | {"repeat": 0, "score": 0.5},
    ],
)
def test_a_line_that_is_no_event_is_refused_by_its_number(path, event):
    proposed = {"event": "proposed", "trial_id": "t0001", "values": {}}
    lines = [*older(path), json.dumps(proposed), json.dumps(event)]
    write_text(path, "\n".join(lines) + "\n")
    with pytest.raises(RecordDamaged, match="Line 5"):
        read_trials(path)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"event": ' + "1" * 5000 + "}", "null", "\x00"])
def test_a_line_that_is_no_json_object_is_refused(path, line):
    write_text(path, line + "\n")
    with pytest.raises(RecordDamaged, match="Line 1"):
        read_trials(path)


def test_what_is_proposed_has_no_score_yet(path):
    event = {"event": "proposed", "trial_id": "t0001", "values": {}, "status": "completed"}
    write_text(path, json.dumps(event | {"score": 0.9}) + "\n")
    (trial,) = read_trials(path)
    assert (trial.status, trial.score) == ("running", None)


def stutter(monkeypatch, sizes):
    """Have the disk take only so many bytes at a time, and then none."""
    left = iter(sizes)
    real = os.write

    def write(descriptor, data):
        size = next(left, None)
        if size is None:
            raise OSError(errno.ENOSPC, "no space")
        return real(descriptor, data[:size])

    monkeypatch.setattr(os, "write", write)


def test_a_line_that_is_taken_in_pieces_is_written_whole(path, monkeypatch):
    with Ledger(path) as ledger:
        stutter(monkeypatch, [1, 7, 40, 1000])
        ledger.proposed(replace(TRIAL, trial_id="t0001", number=1))
    assert [trial.trial_id for trial in read_trials(path)] == ["t0000", "t0001"]


@pytest.mark.parametrize("sizes", [[], [1], [30, 30], [100_000]])
def test_a_line_that_could_not_be_written_leaves_no_part_behind(path, monkeypatch, sizes):
    second = replace(TRIAL, trial_id="t0001", number=1)
    with Ledger(path) as ledger:
        with monkeypatch.context() as patch, contextlib.suppress(OSError):
            stutter(patch, sizes)
            patch.setattr(os, "fsync", failing)
            ledger.proposed(second)
        assert [trial.trial_id for trial in read_trials(path)][:1] == ["t0000"]
        ledger.proposed(second)
        ledger.ended(second.ended(TrialOutcome(reason="again")))
    assert [trial.status for trial in read_trials(path)] == ["completed", "failed"]
    assert [event["event"] for event in read_events(path)][3:] == ["proposed", "failed"]


def failing(descriptor):
    raise OSError(errno.EIO, "the disk is gone")


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
    with pytest.raises(UsageError, match="score must be from 0 to 1"):
        TrialOutcome(score=value)
    row = replace(epoch(1), train_loss=value)
    with Ledger(path) as ledger, pytest.raises(ValueError, match="JSON"):
        ledger.epoch("t0000", row)
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


@pytest.mark.parametrize("event", [{"seconds": 1.0}, {"time": "now"}, {"time": 1, "seconds": "no"}])
def test_a_time_that_is_none_is_refused(tmp_path, event):
    path = tmp_path / "ledger.jsonl"
    write_text(path, json.dumps({"event": "epoch"} | event) + "\n")
    with pytest.raises(RecordDamaged, match="Line 1"):
        busy_seconds(path)


def test_repeats_stand_in_their_order_once_each_however_they_came(path):
    again = [
        Repeat(repeat=number, seed=number, score=score, seconds=1.0)
        for number, score in ((1, 0.5), (2, 0.6), (2, 0.4), (3, None))
    ]
    found = set()
    for order in itertools.permutations(again):
        trial = TRIAL.ended(OUTCOME)
        for repeat in order:
            trial = trial.again(repeat)
        found.add(tuple((item.repeat, item.score) for item in trial.repeats))
    assert found == {((1, 0.5), (2, 0.4), (3, None))}


def test_ends_are_told_in_the_order_in_which_they_came(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        first, second = begin_trial(ledger, 0), begin_trial(ledger, 1)
        for trial in (second, first):
            ledger.ended(trial.ended(TrialOutcome(reason="nan", seconds=1.0)))
        begin_trial(ledger, 2)
    found = end_times(path)
    assert list(found) == ["t0001", "t0000"]
    assert found["t0001"] <= found["t0000"]
