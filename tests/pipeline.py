"""A finished pipeline on the tiny backbone, made once and copied by the tests that change it.

A plugin of pytest, so that a session makes it once for all rooms: a fixture that a module takes
over from another one is made again for that module.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cars_bench.finetune.runs import Run, runs
from cars_bench.progress import Progress
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace, sha256_file
from tests.sharing import made_once

RECIPE = """\
unfreeze: block3
augment: light
views: 2
training:
  learning_rate: 0.003
  batch_size: 16
  epochs: 3
  patience_epochs: 0
"""


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three quick epochs on the last block."""
    path = tmp_path_factory.mktemp("recipe") / "quick.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def tuned_once(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a workspace with dataset, cache and a study of three trials; do not change it."""
    return made_once(tmp_path_factory, "tuned-once", lambda root: _tune(root, tiny_source))


@pytest.fixture(scope="session")
def finished_once(
    tuned_once: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Run]:
    """Root of a workspace with one finished run, and that run; do not change it."""

    def finish(root: Path) -> None:
        from cars_bench.finetune.recipe import FinetuneOptions
        from cars_bench.finetune.run import finetune

        finetune(copied(tuned_once, root), FinetuneOptions(recipe=str(recipe)), Progress())

    root = made_once(tmp_path_factory, "finished-once", finish)
    (run,) = runs(Study.open(Workspace(root)))
    return root, run


@pytest.fixture(scope="session")
def experiment_once(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the finished experiment of `tests/experiments/small.py`; do not change it."""

    def run(folder: Path) -> None:
        from cars_bench.experiments.run import run_experiment
        from tests.experiments.small import small

        experiment = small(folder / "shapes")
        run_experiment(Workspace(experiment.runs), experiment, tiny_source, Progress())

    return made_once(tmp_path_factory, "experiment-once", run) / "shapes"


@pytest.fixture
def tuned(tuned_once: Path, tmp_path: Path) -> Workspace:
    """A copy of `tuned_once` to work in."""
    return copied(tuned_once, tmp_path / "tuned")


@pytest.fixture
def finished(finished_once: tuple[Path, Run], tmp_path: Path) -> Workspace:
    """A copy of `finished_once` to work in."""
    return copied(finished_once[0], tmp_path / "finished")


@pytest.fixture
def not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without a SavedModel, as on JAX: its export is half the time of a small one."""
    monkeypatch.setattr("cars_bench.finetune.artifacts.export_saved_model", lambda *_: None)
    monkeypatch.setattr("cars_bench.finetune.speed.MOST_CALLS", 1)


def _tune(root: Path, source: Path) -> None:
    from cars_bench.cache.extract import extract
    from cars_bench.cache.options import ExtractOptions
    from cars_bench.data.prepare import PrepareOptions, prepare
    from cars_bench.tuning.search import TuneOptions, tune

    workspace = Workspace(root)
    # The images are copied, so that a test may change them in a copy of the workspace.
    shutil.copytree(source, root / "source")
    prepare(workspace, PrepareOptions(source=root / "source", name="tiny"), Progress())
    options = ExtractOptions(
        backbone="tiny", weights="none", image_size=48, runtime="tensorflow", views=2
    )
    extract(workspace, options, Progress())
    tune(workspace, TuneOptions(trials=3, space="quick", epochs=4, workers=1), Progress())


def copied(root: Path, to: Path) -> Workspace:
    """A copy of a workspace whose dataset names the copied images."""
    shutil.copytree(root, to)
    for table in (to / "cache" / "datasets").glob("*/dataset.csv"):
        table.write_text(re.sub(r"[^,\n]*/source/", f"{to}/source/", table.read_text()))
    return Workspace(to)


def flip_bit(path: Path) -> None:
    """Damage a file in its middle."""
    before = sha256_file(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert sha256_file(path) != before
