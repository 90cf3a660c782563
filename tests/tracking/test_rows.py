"""Rows: what of a study does not change any more, and nothing else."""

from __future__ import annotations

import shutil
import time

import pytest

from cars_bench.finetune.plan import read_plan
from cars_bench.tracking.rows import TrackedRun, flat, group_of, sources, tracked_runs
from cars_bench.training.checkpoint import CHECKPOINT_FILE, TrainingState, write_checkpoint
from cars_bench.tuning.ledger import Ledger, TrialOutcome
from cars_bench.tuning.study import Study
from tests.tracking.studies import Tracked, epoch_of, expected
from tests.tuning.studies import begin_trial, write_study


@pytest.fixture
def tracked(tmp_path) -> Tracked:
    return Tracked.in_folder(tmp_path)


def rows_of(tracked: Tracked) -> dict:
    return {run.key: run for run in tracked_runs(tracked.workspace, tracked.study)}


def test_trials_that_ended_are_rows_and_running_ones_are_none(tracked):
    tracked.grow(0, 4)
    with Ledger(tracked.study.ledger_path) as ledger:
        running = begin_trial(ledger, 4)
        ledger.epoch(running.trial_id, epoch_of(1))
    found = rows_of(tracked)
    assert list(found) == ["study", "probe-ridge", "t0000", "t0001", "t0002", "t0003"]
    assert found["t0003"].status == "failed"
    assert found["t0003"].parameters["reason"] == "the loss became nan in epoch 1"
    points = {(item.name, item.step): item.value for item in found["t0001"].points}
    assert points["epochs/val_top1", 2] == epoch_of(2, 1).val_top1
    assert points["final/score", 0] == 11 / 20
    assert found["t0001"].parameters["training.learning_rate"] == 0.001
    assert found["t0001"].parameters["head.layers.0.units"] == 8


def test_what_was_a_row_once_stays_one(tracked):
    tracked.grow(0, 3)
    before = expected(list(rows_of(tracked).values()))
    tracked.grow(3, 5)
    after = expected(list(rows_of(tracked).values()))
    for key, (status, parameters, points) in before.items():
        assert after[key][:2] == (status, parameters)
        assert set(points) <= set(after[key][2])


def test_times_do_not_move_when_a_trial_that_began_earlier_ends(tracked):
    tracked.grow(0, 1)
    before = times_of(rows_of(tracked)["study"])
    with Ledger(tracked.study.ledger_path) as ledger:
        slow = begin_trial(ledger, 1)
        outcome = TrialOutcome(score=0.5, low=0.4, high=0.6, best_epoch=1, seconds=7200.0)
        ledger.ended(slow.ended(outcome))
    after = times_of(rows_of(tracked)["study"])
    assert before.items() <= after.items()
    assert len(before) < len(after)


def times_of(run: TrackedRun) -> dict[tuple[str, int], float]:
    """When each point was known, and when the run began, in seconds since 1970."""
    times = {(item.name, item.step): run.begun + item.after for item in run.points}
    return times | {("begun", 0): run.begun}


def test_two_studies_of_one_name_are_two_groups(tmp_path):
    studies = [
        write_study(tmp_path / place / "cars", created=f"2026-01-0{place}T03:04:05+00:00")
        for place in ("1", "2")
    ]
    assert group_of(studies[0]) != group_of(studies[1])


def test_any_change_on_disk_is_seen_and_no_change_is_none(tracked):
    tracked.grow(0, 1)
    before = sources(tracked.workspace, tracked.study)
    assert sources(tracked.workspace, tracked.study) == before
    tracked.grow(1, 1)
    assert sources(tracked.workspace, tracked.study) != before


def test_nested_values_get_dotted_names():
    assert flat({"a": {"b": 1, "c": None}, "d": [2, {"e": "x"}], "f": True}) == {
        "a.b": 1, "d.0": 2, "d.1.e": "x", "f": True
    }  # fmt: skip


def test_a_finished_run_has_its_epochs_scores_and_files(finished):
    study = Study.open(finished)
    (run,) = (run for run in tracked_runs(finished, study) if run.key.startswith("final/"))
    names = {point.name for point in run.points}
    assert names >= {
        "epochs/train_loss", "epochs/learning_rate", "frozen/test_top1", "finetuned/test_top1_low",
        "gain/test_top1", "gain/test_top1_high",
    }  # fmt: skip
    assert [point.step for point in run.points if point.name == "epochs/val_loss"] == [1, 2, 3]
    assert [path.name for path in run.artifacts] == ["model-card.md", "history.csv"]
    assert run.parameters["training.batch_size"] == 16
    whole = next(iter(tracked_runs(finished, study)))
    assert "winner/score" in {point.name for point in whole.points}
    assert [path.name for path in whole.artifacts] == ["winner.json"]


def test_an_unfinished_run_has_the_epochs_of_its_checkpoint(finished):
    study = Study.open(finished)
    (folder,) = (study.folder / "final").iterdir()
    plan = read_plan(folder)
    for name in ("run.json", "history.csv"):
        (folder / name).unlink()
    shutil.rmtree(folder / "saved_model", ignore_errors=True)
    state = TrainingState([epoch_of(1), epoch_of(2)], 1, [], [])
    write_checkpoint(folder / CHECKPOINT_FILE, state, {})
    (run,) = (run for run in tracked_runs(finished, study) if run.key == f"final/{plan.run}")
    assert run.status == "running"
    assert {point.step for point in run.points} == {1, 2}
    assert run.begun <= time.time()


def test_a_run_without_an_epoch_may_come_to_nothing_and_is_no_row_yet(finished):
    study = Study.open(finished)
    (folder,) = (study.folder / "final").iterdir()
    for path in folder.iterdir():
        if path.is_file() and path.name != "plan.json":
            path.unlink()
    assert not [run for run in tracked_runs(finished, study) if run.key.startswith("final/")]
