"""An experiment asked again: what is kept, what is done anew; its stages cost nothing here.

Covers cars_bench/experiments/run.py and cars_bench/experiments/record.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cars_bench.errors import InputError, Interrupted, WeightsUnavailable
from cars_bench.evaluation.metrics import score
from cars_bench.experiments import run as running
from cars_bench.experiments import stages
from cars_bench.experiments.forecast import forecast
from cars_bench.experiments.record import ExperimentRecord
from cars_bench.experiments.run import run_experiment
from cars_bench.experiments.stages import Measured, Searched
from cars_bench.progress import Progress
from cars_bench.tuning.search import TuneOptions
from cars_bench.workspace import Workspace
from tests.experiments.small import CONFIG, small

FOUND = Measured(score(np.eye(4), np.arange(4)))
TEXT = CONFIG.replace("checks: true", "checks: false")


@dataclass
class Done:
    """What the stages were asked to do, in order."""

    said: list[str] = field(default_factory=list)

    def stage(self, name: str, given: object) -> Callable[..., object]:
        def work(*_: object) -> object:
            self.said.append(name)
            return given

        return work


@dataclass
class Told(Progress):
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def log(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Done:
    found = Done()

    def search(_workspace: Workspace, _wanted: object, study: str, *_: object) -> Searched:
        found.said.append(study)
        return Searched(study, "t0000", FOUND)

    monkeypatch.setattr(stages, "search", search)
    monkeypatch.setattr(stages, "extract_features", found.stage("extract", "key"))
    monkeypatch.setattr(stages, "finish", found.stage("finish", SimpleNamespace(name="run")))
    monkeypatch.setattr(stages, "measured", lambda *_: FOUND)
    monkeypatch.setattr(stages, "read_test", found.stage("test", FOUND))
    return found


@pytest.fixture
def source(tiny_source: Path, tmp_path: Path) -> Path:
    """A copy of the drawn images that may be changed."""
    return shutil.copytree(tiny_source, tmp_path / "photos")


def studies(record: ExperimentRecord) -> set[str]:
    return {item.study for item in record.attempts}


def test_another_source_is_other_work_with_a_dataset_and_studies_of_its_own(
    tmp_path: Path, source: Path, done: Done
):
    experiment = small(tmp_path / "shapes", TEXT)
    workspace = Workspace(experiment.runs)
    before = run_experiment(workspace, experiment, source, Progress())
    other = shutil.copytree(source, tmp_path / "others")
    (other / "images" / "000.png").write_bytes((other / "images" / "001.png").read_bytes())
    assert not any(item.finished for item in forecast(workspace, experiment, other).attempts)
    only = run_experiment(workspace, experiment, other, Progress(), ["surgery"])
    assert [item.name for item in only.attempts if item.finished] == ["surgery"]
    assert not only.chosen
    assert (studies(only) - {""}).isdisjoint(studies(before))
    assert len(list(workspace.datasets.glob("[!.]*"))) == 2
    done.said.clear()
    run_experiment(workspace, experiment, other, Progress(), ["surgery"])
    assert not done.said


def test_pictures_that_changed_are_prepared_and_everything_done_again(
    tmp_path: Path, source: Path, done: Done
):
    experiment = small(tmp_path / "shapes", TEXT)
    workspace = Workspace(experiment.runs)
    before = run_experiment(workspace, experiment, source, Progress())
    (source / "images" / "000.png").write_bytes((source / "images" / "001.png").read_bytes())
    after = run_experiment(workspace, experiment, source, Progress())
    assert studies(after).isdisjoint(studies(before))
    assert all(item.seconds for item in after.attempts)
    assert after.attempts[0].seconds["prepare"] > 0


def test_pictures_that_were_moved_or_touched_are_the_same_pictures(
    tmp_path: Path, source: Path, done: Done
):
    experiment = small(tmp_path / "shapes", TEXT)
    workspace = Workspace(experiment.runs)
    before = run_experiment(workspace, experiment, source, Progress())
    (source / "images" / "000.png").touch()
    done.said.clear()
    run_experiment(workspace, experiment, source, Progress())
    after = run_experiment(workspace, experiment, source.rename(tmp_path / "moved"), Progress())
    assert not done.said
    assert after.chosen == before.chosen
    assert studies(after) == studies(before)


def test_a_policy_counts_by_what_its_file_holds_wherever_that_lies(
    tmp_path: Path, source: Path, done: Done
):
    text = TEXT.replace("augment: light", "augment: far.yml")
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "far.yml").write_text("rotation_degrees: 20\n")
    workspace = Workspace(tmp_path / "w")
    run_experiment(workspace, small(folder, text), source, Progress())
    done.said.clear()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = folder.rename(elsewhere / "shapes")
    run_experiment(workspace, small(moved, text), source, Progress())
    assert not done.said
    (moved / "far.yml").write_text("rotation_degrees: 40\n")
    run_experiment(workspace, small(moved, text), source, Progress())
    assert done.said.count("finish") == 2


@pytest.mark.parametrize("stage", ["prepare_data", "extract_features", "search", "finish"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Interrupted("Stopped.", "tune goes on")])
def test_ctrl_c_in_any_stage_keeps_its_seconds_and_says_what_goes_on(
    tmp_path: Path, source: Path, done: Done, monkeypatch: pytest.MonkeyPatch,
    stage: str, stop: BaseException,
):  # fmt: skip
    experiment = small(tmp_path / "shapes", TEXT)
    workspace = Workspace(tmp_path / "w")
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(running.time, "monotonic", lambda: next(clock))

    def stopped(*_: object) -> None:
        raise stop

    monkeypatch.setattr(stages, stage, stopped)
    with pytest.raises(Interrupted) as caught:
        run_experiment(workspace, experiment, source, Progress(), ["surgery"])
    assert f"run {experiment.folder} {source} --workspace" in caught.value.fix
    assert caught.value.fix.endswith("--only surgery goes on")
    monkeypatch.undo()
    (kept,) = running.begun_record(workspace, experiment).attempts
    name = {"prepare_data": "prepare", "extract_features": "extract", "search": "tune",
            "finish": "finetune"}[stage]  # fmt: skip
    assert kept.seconds[name] == 10


def test_seconds_of_a_stage_without_weights_and_of_the_test_pass_are_kept(
    tmp_path: Path, source: Path, done: Done, monkeypatch: pytest.MonkeyPatch
):
    experiment = small(tmp_path / "shapes", TEXT)
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(running.time, "monotonic", lambda: next(clock))

    def lacking(*_: object) -> None:
        raise WeightsUnavailable("There are none.", "bring them")

    monkeypatch.setattr(stages, "finish", lacking)
    record = run_experiment(Workspace(tmp_path / "w"), experiment, source, Progress())
    first, second, _ = record.attempts
    assert first.seconds["test"] == 10
    assert second.lacking
    assert second.seconds == {"extract": 10, "tune": 10, "finetune": 10}


def test_a_tracker_is_told_of_studies_of_earlier_sessions(
    tmp_path: Path, source: Path, done: Done, monkeypatch: pytest.MonkeyPatch
):
    experiment = small(tmp_path / "shapes", TEXT)
    workspace = Workspace(tmp_path / "w")
    record = run_experiment(workspace, experiment, source, Progress())
    told: list[str] = []
    run_experiment(workspace, experiment, source, Progress(), follow=told.append)
    assert told == []
    monkeypatch.setattr(running, "study_names", lambda _: sorted(studies(record)))
    run_experiment(workspace, experiment, source, Progress(), follow=told.append)
    assert set(told) == studies(record)


def test_the_time_left_is_told_from_the_config_before_anything_is_finished(
    tmp_path: Path, source: Path, done: Done
):
    progress = Told()
    run_experiment(Workspace(tmp_path / "w"), small(tmp_path / "shapes", TEXT), source, progress)
    assert "[1/3] one-dense, about 2 min 00 s left" in progress.lines


def test_an_error_of_a_stage_says_which_attempt_it_stopped(
    tmp_path: Path, source: Path, done: Done, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise InputError("The disk is full.", "free some space")

    monkeypatch.setattr(stages, "finish", full)
    with pytest.raises(InputError, match=r"^surgery: The disk is full\."):
        run_experiment(
            Workspace(tmp_path / "w"), small(tmp_path / "shapes", TEXT), source, Progress()
        )


@pytest.mark.parametrize(
    ("chosen", "maps", "backend"),
    [(None, False, "jax"), (None, True, "tensorflow"), ("tensorflow", False, "tensorflow")],
)
def test_heads_are_searched_on_the_users_backend_else_on_the_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None, maps: bool, backend: str
):
    pytest.importorskip("jax")
    asked: list[TuneOptions] = []

    def tune(_workspace: Workspace, options: TuneOptions, *_: object, **__: object) -> None:
        asked.append(options)
        raise Interrupted("Stopped.", "")

    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if chosen:
        monkeypatch.setenv("KERAS_BACKEND", chosen)
    monkeypatch.setattr(stages, "tune", tune)
    monkeypatch.setattr(stages, "holds_maps", lambda *_: maps)
    (wanted, *_) = small(tmp_path / "shapes", TEXT).planned
    with pytest.raises(Interrupted):
        stages.search(Workspace(tmp_path), wanted, "s", "key", Progress(), lambda study: None)
    assert asked[0].backend == backend
