"""A finished pipeline on the tiny backbone, made once and copied by the tests that change it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import finetune
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.workspace import Workspace, sha256_file

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
    root = tmp_path_factory.mktemp("tuned") / "workspace"
    workspace = Workspace(root)
    # The images are copied, so that a test may change them in a copy of the workspace.
    shutil.copytree(tiny_source, root / "source")
    prepare(workspace, PrepareOptions(source=root / "source", name="tiny"), Progress())
    options = ExtractOptions(
        backbone="tiny", weights="none", image_size=48, runtime="tensorflow", views=2
    )
    extract(workspace, options, Progress())
    tune(workspace, TuneOptions(trials=3, space="quick", epochs=4), Progress())
    return root


@pytest.fixture(scope="session")
def finished_once(
    tuned_once: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Run]:
    """Root of a workspace with one finished run, and that run; do not change it."""
    root = tmp_path_factory.mktemp("finished") / "workspace"
    return root, finetune(copied(tuned_once, root), FinetuneOptions(recipe=str(recipe)), Progress())


@pytest.fixture
def tuned(tuned_once: Path, tmp_path: Path) -> Workspace:
    """A copy of `tuned_once` to work in."""
    return copied(tuned_once, tmp_path / "tuned")


@pytest.fixture
def finished(finished_once: tuple[Path, Run], tmp_path: Path) -> Workspace:
    """A copy of `finished_once` to work in."""
    return copied(finished_once[0], tmp_path / "finished")


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
