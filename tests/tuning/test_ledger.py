"""The ledger survives being cut anywhere in its last line."""

from __future__ import annotations

import json

import pytest

from cars_bench.errors import CarsBenchError
from cars_bench.tuning.ledger import Ledger, busy_seconds, read_events, read_trials


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "study" / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append("proposed", "t0000", number=0, values={"depth": 1})
        ledger.append("epoch", "t0000", epoch=1, val_top1=0.25)
        ledger.append("completed", "t0000", score=0.5, seconds=1.5)
    return path


def test_cut_at_every_byte_of_its_last_line_it_keeps_the_lines_before(path):
    whole = path.read_bytes()
    begin = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(begin, len(whole)):
        path.write_bytes(whole[:end])
        assert [event["event"] for event in read_events(path)] == ["proposed", "epoch"]
        with Ledger(path) as ledger:
            ledger.append("failed", "t0000", reason="again")
        assert [event["event"] for event in read_events(path)][2:] == ["failed"]


def test_a_damaged_line_before_the_last_is_refused(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0][:-5], *lines[1:]]) + "\n")
    with pytest.raises(CarsBenchError, match="Line 1"):
        read_events(path)


def test_there_are_no_trials_without_a_ledger(tmp_path):
    assert read_trials(tmp_path / "none.jsonl") == []


def test_a_trial_is_what_its_events_add_up_to(path):
    (trial,) = read_trials(path)
    assert (trial.status, trial.score, trial.seconds, len(trial.epochs)) == (
        "completed", 0.5, 1.5, 1,
    )  # fmt: skip


@pytest.mark.parametrize(("after", "left"), [(0, 0), (2, 2), (3, 3)])
def test_a_restarted_trial_keeps_the_epochs_that_it_goes_on_from(tmp_path, after, left):
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.append("proposed", "t0000", number=0, values={})
        for epoch in (1, 2, 3):
            ledger.append("epoch", "t0000", epoch=epoch)
        ledger.append("started", "t0000", after=after)
    (trial,) = read_trials(path)
    assert len(trial.epochs) == left
    assert trial.status == "running"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_never_reach_it(path, value):
    with Ledger(path) as ledger, pytest.raises(ValueError, match="JSON"):
        ledger.append("completed", "t0001", score=value)
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
def test_trainings_side_by_side_count_once(spans, seconds):
    events = [{"event": "completed", "time": time, "seconds": took} for time, took in spans]
    assert busy_seconds([{"event": "started", "time": 500.0}, *events]) == seconds
