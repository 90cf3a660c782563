"""Following a study: the work goes on whatever the tracker does.

Covers `cars_bench/tracking/tracker.py`.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cars_bench.finetune.plan import RunPlan, read_plan
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.progress import Progress
from cars_bench.tracking.follow import LOCK_FILE, Follower, tracked
from cars_bench.tracking.rows import TrackedRun
from cars_bench.tracking.tracker import Tracker, Written, missing
from cars_bench.workspace import locked
from tests.tracking.studies import NAME, Tracked


class Told(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, text: str) -> None:
        self.said.append(text)

    @property
    def warnings(self) -> list[str]:
        return [text for text in self.said if text.startswith("warning")]


class Memory(Tracker):
    """Keeps rows in a list, so that one written twice stands there twice; breaks when told."""

    shown = "memory"

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, int]] = []
        self.broken = False
        self.words = "no answer from http://me:s3cret@host/x.\nmore"
        self.synced = threading.Event()
        self.hangs: threading.Event | None = None

    def check(self) -> None:
        if self.broken:
            raise ConnectionError(self.words)

    def written(self, run: TrackedRun) -> Written:
        self.check()
        if self.hangs:
            self.hangs.wait()
        points = {(name, step) for key, name, step in self.rows if key == run.key}
        return Written(begun=run.begun, points=points)

    def write(self, run: TrackedRun, written: Written) -> None:
        self.rows += [(run.key, item.name, item.step) for item in missing(run, written).points]
        self.synced.set()


@pytest.fixture
def study(tmp_path) -> Tracked:
    found = Tracked.in_folder(tmp_path)
    found.grow(0, 2)
    return found


def follower(study: Tracked, tracker: Tracker, told: Progress, **seconds: float) -> Follower:
    chosen = {"every_seconds": 0.01, "last_seconds": 20.0} | seconds
    made = Follower(tracker, study.workspace, told, **chosen)
    made.begin()
    made.follow(NAME)
    return made


def test_rows_appear_while_the_work_goes_on_and_the_rest_at_its_end(study):
    memory, told = Memory(), Told()
    following = follower(study, memory, told)
    assert memory.synced.wait(20)
    study.grow(2, 3)
    following.end()
    assert len(memory.rows) == len(set(memory.rows))
    assert {key for key, _, _ in memory.rows} >= {"t0000", "t0001", "t0002", "t0003", "t0004"}
    assert not told.warnings


def test_a_tracker_that_breaks_is_told_once_and_caught_up_by_the_next_command(study):
    memory, told = Memory(), Told()
    memory.broken = True
    following = follower(study, memory, told)
    study.grow(2, 3)
    following.end()
    assert memory.rows == []
    (warning,) = told.warnings
    assert "catches up" in warning
    assert "s3cret" not in warning
    assert "\n" not in warning
    memory.broken = False
    follower(study, memory, Told()).end()
    assert len(memory.rows) == len(set(memory.rows)) > 0


@pytest.mark.parametrize("blank", ["", " ", "\n", " \n\t\n"])
def test_an_error_without_words_is_told_by_its_name_and_does_not_end_the_thread(study, blank):
    memory, told = Memory(), Told()
    memory.broken, memory.words = True, blank
    following = follower(study, memory, told)
    memory.broken = False
    assert memory.synced.wait(20)
    following.end()
    (warning,) = told.warnings
    assert "(ConnectionError)" in warning


@pytest.fixture
def planned(study) -> RunPlan:
    """A run that is begun, and has no epoch yet."""
    recipe = FinetuneOptions().resolved()
    plan = RunPlan(run="t0000-all", study=NAME, trial_id="t0000", recipe=recipe)
    plan.write(study.workspace)
    return plan


def test_a_plan_that_comes_to_nothing_while_it_is_read_is_no_failure(study, planned, monkeypatch):
    memory, told, read = Memory(), Told(), threading.Event()

    def discarded(folder: Path) -> RunPlan:
        planned.discard(study.workspace)
        read.set()
        return read_plan(folder)

    monkeypatch.setattr("cars_bench.tracking.rows.read_plan", discarded)
    following = follower(study, memory, told)
    assert read.wait(20)
    study.grow(2, 1)
    following.end()
    assert not told.warnings
    assert {key for key, _, _ in memory.rows} == {"study", "probe-ridge", "t0000", "t0001", "t0002"}


def test_what_is_missing_and_stays_so_is_told(study, planned, monkeypatch):
    def missing(folder: Path) -> RunPlan:
        return read_plan(folder / "elsewhere")

    monkeypatch.setattr("cars_bench.tracking.rows.read_plan", missing)
    told = Told()
    follower(study, Memory(), told).end()
    (warning,) = told.warnings
    assert "There is no run" in warning


def test_a_tracker_that_hangs_does_not_keep_the_command(study):
    memory, told = Memory(), Told()
    memory.hangs = threading.Event()
    follower(study, memory, told, last_seconds=0.1).end()
    memory.hangs.set()
    (warning,) = told.warnings
    assert "takes too long" in warning


def test_while_another_process_writes_it_waits_and_then_writes_the_rest(study):
    memory, told = Memory(), Told()
    with locked(study.study.folder / LOCK_FILE, "another"):
        following = follower(study, memory, told)
        ending = threading.Thread(target=following.end)
        ending.start()
        assert memory.rows == []
    ending.join(20)
    assert len(memory.rows) == len(set(memory.rows)) > 0
    assert not told.warnings


def test_nothing_asked_is_nothing_done(study):
    with tracked(None, study.workspace, Progress()) as follow:
        follow(NAME)
    assert not (study.study.folder / LOCK_FILE).exists()


def test_the_last_sync_happens_where_the_work_fails_too(study, tmp_path):
    def fails() -> None:
        with tracked(f"tensorboard:{tmp_path / 'board'}", study.workspace, Progress()) as follow:
            follow(NAME)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert list((tmp_path / "board").rglob("t0001/events*"))
