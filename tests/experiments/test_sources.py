"""Which dataset an attempt has of a source, and whether it is still what lies there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cars_bench.experiments.config import Data
from cars_bench.experiments.sources import Sourced, prepare_options, state_of
from cars_bench.experiments.stages import prepare_data
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.experiments.small import CONFIG, small


def picture(source: Path, number: int = 0) -> Path:
    return source / "images" / f"{number:03d}.png"


def rewritten(source: Path) -> None:
    picture(source).write_bytes(picture(source, 1).read_bytes())


def labelled_anew(source: Path) -> None:
    labels = source / "labels.csv"
    labels.write_text(labels.read_text() + "\n")


def added(source: Path) -> None:
    shutil.copy(picture(source), source / "images" / "another.png")


def removed(source: Path) -> None:
    picture(source).unlink()


@pytest.mark.parametrize("change", [rewritten, labelled_anew, added, removed])
def test_a_source_that_changed_is_seen_without_reading_it(
    change: Callable[[Path], None], tmp_path: Path, tiny_source: Path
):
    source = shutil.copytree(tiny_source, tmp_path / "photos")
    workspace = Workspace(tmp_path / "w")
    sourced = Sourced(experiment=small(tmp_path / "shapes"), path=source)
    wanted = sourced.experiment.planned[0]
    name = sourced.dataset(wanted)
    dataset = prepare_data(workspace, name, wanted, source, Progress())
    states = {name: state_of(dataset, sourced.data(wanted))}
    attempts = [item.name for item in sourced.experiment.planned]
    assert sourced.contents(workspace, states) == dict.fromkeys(attempts, dataset.digest)
    assert sourced.contents(workspace, {}) == {}
    change(source)
    assert sourced.contents(workspace, states) == {}


def test_two_sources_have_two_datasets_and_two_contents_two_studies(tmp_path: Path):
    experiment = small(tmp_path / "shapes", CONFIG)
    here, there = (Sourced(experiment=experiment, path=tmp_path / name) for name in "ab")
    wanted = experiment.planned[0]
    assert here.dataset(wanted) != there.dataset(wanted)
    assert here.study(wanted, "a" * 64) == there.study(wanted, "a" * 64)
    assert here.study(wanted, "a" * 64) != here.study(wanted, "b" * 64)


def test_what_is_not_said_is_left_to_prepare():
    options, asked = prepare_options(Data(crop="boxes", detect_threshold=0.5), Path("photos"))
    assert (options.split, options.crop, options.allow_missing) == (None, "boxes", False)
    assert (asked.boxes, asked.threshold, asked.margin) == ("source", 0.5, None)
