"""Never lost: stopped or killed at any moment, a run ends where an uninterrupted one ends."""

from __future__ import annotations

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from cars_bench.errors import CarsBenchError, Interrupted, ModelMissing, UsageError
from cars_bench.finetune import run
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.plan import RunPlan, Steering, last_plan, planned
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import finetune, resume
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.training.checkpoint import CHECKPOINT_FILE, TrainingState
from cars_bench.workspace import Workspace
from tests.pipeline import copied

pytestmark = pytest.mark.usefixtures("not_served")

TOLERANCE = 1e-4


class Killed(BaseException):
    """Stands for a process that dies: nothing may catch it."""


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int, how: type[BaseException]) -> None:
    """Die right after the checkpoint of an epoch."""
    honest = run.write_checkpoint

    def save(path: Path, state: TrainingState, identity: dict[str, Any]) -> None:
        honest(path, state, identity)
        if len(state.history) == epochs:
            raise how

    monkeypatch.setattr(run, "write_checkpoint", save)


def killed(
    workspace: Workspace, recipe: Path, monkeypatch: pytest.MonkeyPatch, epochs: int = 1
) -> RunPlan:
    """The plan of a run that is killed after so many epochs."""
    with monkeypatch.context() as patched:
        stop_after(patched, epochs, Killed)
        with pytest.raises(Killed):
            finetune(workspace, FinetuneOptions(recipe=str(recipe)), Progress())
    plan = last_plan(workspace)
    assert plan is not None
    return plan


def weights(workspace: Workspace) -> list[np.ndarray]:
    return [np.array(item) for item in FinishedModel.open(workspace).load().variables]


class Stopped(NamedTuple):
    """A workspace whose one run was killed after its first epoch."""

    workspace: Workspace
    plan: RunPlan


@pytest.fixture(scope="module")
def stopped_once(
    tuned_once: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> Stopped:
    """Do not change it."""
    workspace = copied(tuned_once, tmp_path_factory.mktemp("stopped") / "workspace")
    with pytest.MonkeyPatch.context() as patched:
        return Stopped(workspace, killed(workspace, recipe, patched))


@pytest.fixture
def stopped(stopped_once: Stopped, tmp_path: Path) -> Stopped:
    """A copy to work in."""
    return stopped_once._replace(workspace=copied(stopped_once.workspace.root, tmp_path / "w"))


@pytest.mark.parametrize("epochs", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_killed_run_ends_where_an_uninterrupted_one_ends(
    tuned: Workspace,
    finished_once: tuple[Path, Run],
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs: int,
) -> None:
    plan = killed(tuned, recipe, monkeypatch, epochs)
    assert (plan.folder(tuned) / "checkpoint.npz").is_file()
    result = resume(tuned, FinetuneOptions(), Progress())

    whole = finished_once[1]
    assert result.record.epochs == 3
    assert result.record.finetuned == whole.record.finetuned
    assert result.record.frozen_check == whole.record.frozen_check
    for mine, theirs in zip(weights(tuned), weights(Workspace(finished_once[0])), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=TOLERANCE)
    assert losses(result.folder) == pytest.approx(losses(whole.folder), abs=TOLERANCE)
    assert not (result.folder / "checkpoint.npz").exists()


def losses(folder: Path) -> list[float]:
    with (folder / "history.csv").open() as stream:
        return [float(row["train_loss"]) for row in csv.DictReader(stream)]


def test_another_rate_by_hand_is_recorded(stopped: Stopped) -> None:
    result = resume(stopped.workspace, FinetuneOptions(learning_rate=1e-5, epochs=4), Progress())
    change = Steering(from_epoch=2, learning_rate=1e-5, schedule="constant", epochs=4)
    assert result.record.steering == (change,)
    with (result.folder / "history.csv").open() as stream:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(stream)]
    assert rates == pytest.approx([0.003, 1e-5, 1e-5, 1e-5])


def test_ctrl_c_finishes_the_epoch_and_says_how_to_resume(
    tuned: Workspace, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = run.write_checkpoint

    def save(path: Path, state: TrainingState, identity: dict[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        honest(path, state, identity)

    with monkeypatch.context() as patched:
        patched.setattr(run, "write_checkpoint", save)
        with pytest.raises(Interrupted, match="after epoch 1 of 3") as caught:
            finetune(tuned, FinetuneOptions(recipe=str(recipe)), Progress())
    assert caught.value.code == 130
    assert caught.value.fix == "cars-bench finetune --resume"
    assert resume(tuned, FinetuneOptions(), Progress()).record.epochs == 3


def test_a_failure_before_the_first_epoch_leaves_no_run(tuned: Workspace, recipe: Path) -> None:
    with pytest.raises(UsageError):
        finetune(tuned, FinetuneOptions(recipe=str(recipe), unfreeze="nothing"), Progress())
    assert last_plan(tuned) is None


def test_the_same_command_goes_on_with_the_run(recipe: Path, stopped: Stopped) -> None:
    options, (workspace, plan) = FinetuneOptions(recipe=str(recipe)), stopped
    assert planned(workspace, options) == plan
    result = finetune(workspace, options, Progress())
    assert result.folder == plan.folder(workspace)
    assert planned(workspace, replace(options, seed=1)).run != plan.run
    assert finetune(workspace, options, Progress()).record == result.record


def test_a_run_that_fails_at_once_leaves_the_stopped_one_to_be_resumed(
    recipe: Path, stopped: Stopped
) -> None:
    options = FinetuneOptions(recipe=str(recipe), unfreeze="nothing")
    with pytest.raises(UsageError):
        finetune(stopped.workspace, options, Progress())
    assert last_plan(stopped.workspace) == stopped.plan


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"unfreeze": "block2"}, "--unfreeze"),
        ({"seed": 3}, "--seed"),
        ({"refit": True, "live": True}, "--live and --refit"),
        ({"recipe": "thorough"}, "--recipe"),
        ({"trial": "t0009"}, "--trial"),
        ({"warm_up": False}, "--no-warm-up"),
    ],
)
def test_what_cannot_change_on_the_way_is_refused(
    stopped_once: Stopped, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        resume(stopped_once.workspace, FinetuneOptions(**changes), Progress())
    assert last_plan(stopped_once.workspace) == stopped_once.plan


def test_after_the_last_epoch_there_is_nothing_to_steer(
    tuned: Workspace, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(tuned, recipe, monkeypatch, 3)
    with pytest.raises(UsageError, match="All 3 epochs"):
        resume(tuned, FinetuneOptions(learning_rate=1e-5), Progress())


def test_another_augmentation_policy_under_the_same_name_is_refused(
    tuned: Workspace, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, mine = tmp_path / "policy.yaml", tmp_path / "mine.yaml"
    policy.write_text("flip: true\n")
    mine.write_text(recipe.read_text().replace("augment: light", f"augment: {policy}"))
    killed(tuned, mine, monkeypatch)
    policy.write_text("flip: false\n")
    with pytest.raises(UsageError, match="has changed since"):
        resume(tuned, FinetuneOptions(), Progress())


@pytest.mark.parametrize("refit", [{"refit": True}, {"warm_up": False}])
def test_where_nothing_is_trained_nothing_else_makes_sense(
    tuned: Workspace, recipe: Path, refit: dict[str, bool]
) -> None:
    options = FinetuneOptions(recipe=str(recipe), unfreeze="none", **refit)
    with pytest.raises(UsageError, match="trains nothing"):
        finetune(tuned, options, Progress())


def test_nothing_to_resume(tuned: Workspace) -> None:
    with pytest.raises(ModelMissing):
        resume(tuned, FinetuneOptions(), Progress())


def test_a_finished_run_is_given_back_and_cannot_be_steered(finished: Workspace) -> None:
    before = FinishedModel.open(finished).record
    assert resume(finished, FinetuneOptions(), Progress()).record == before
    with pytest.raises(UsageError, match="finished"):
        resume(finished, FinetuneOptions(learning_rate=1e-5), Progress())


def test_a_damaged_checkpoint_is_refused(stopped: Stopped) -> None:
    path = stopped.plan.folder(stopped.workspace) / CHECKPOINT_FILE
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") - 1] ^= 1  # the last byte of the last array; headers are spare
    path.write_bytes(bytes(data))
    with pytest.raises(CarsBenchError, match="damaged"):
        resume(stopped.workspace, FinetuneOptions(), Progress())


def test_a_checkpoint_that_lost_an_array_is_refused(stopped: Stopped) -> None:
    path = stopped.plan.folder(stopped.workspace) / CHECKPOINT_FILE
    with np.load(path) as stored:
        arrays = dict(stored)
    last = max((name for name in arrays if name.startswith("best")), key=lambda n: int(n[4:]))
    np.savez(path, **{name: value for name, value in arrays.items() if name != last})
    with pytest.raises(CarsBenchError, match="damaged"):
        resume(stopped.workspace, FinetuneOptions(), Progress())
