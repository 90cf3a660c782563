"""The page of published scores and ours."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.backbones.catalogue import OFFLINE_BACKBONE
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.boxes import BoxScore
from cars_bench.evaluation.metrics import wilson
from cars_bench.experiments.record import Kept
from cars_bench.experiments.run import run_experiment
from cars_bench.progress import Progress
from cars_bench.reports.experiments_page import (
    LOSS,
    TOP1,
    build_experiments,
    experiments_page,
    tell,
)
from cars_bench.workspace import Workspace
from tests.experiments.small import CONFIG, small

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def kept(
    experiment_once: Path, tiny_source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Kept:
    """The finished experiment, of which one attempt tries something hostile now."""
    folder = tmp_path_factory.mktemp("here") / "experiments" / "shapes"
    shutil.copytree(experiment_once, folder)
    text = CONFIG.replace("summary: one dense layer", f"summary: '{HOSTILE}'")
    experiment = small(folder, text)
    workspace = Workspace(experiment.runs)
    return Kept(workspace, run_experiment(workspace, experiment, tiny_source, Progress()))


def test_the_page_and_its_numbers_are_written_from_the_folders_runs(kept: Kept, tmp_path: Path):
    here = kept.workspace.root.parents[2]
    path = build_experiments(Workspace(tmp_path), here)
    page = path.read_text()
    document = json.loads(path.with_suffix(".json").read_text())
    assert [row["published"] for row in document["table"]][:2] == [0.68, 0.2]
    assert "68.0%" in page
    assert HOSTILE not in page
    assert "surgery" in page
    assert 'href="experiments.html"' in (path.parent / "index.html").read_text()
    again = build_experiments(Workspace(tmp_path), here).read_text()
    assert again == page


def test_fine_tuning_follows_the_head_and_a_fresh_head_starts_at_the_first_epoch(kept: Kept):
    curves = {curve.label: curve for curve in tell(kept).curves[LOSS]}
    assert [epoch for epoch, _ in curves["surgery"].points] == [1, 2, 3, 4, 5]
    assert [epoch for epoch, _ in curves["no-warm-up"].points] == [1, 2]
    assert [epoch for epoch, _ in curves["one-dense"].points] == [1, 2, 3]
    assert tell(kept).unwarmed == ("no-warm-up",)
    assert len(tell(kept).curves[TOP1]) == 3


def test_the_most_frequent_class_alone_is_scored_on_the_test_images(kept: Kept):
    found = tell(kept).baseline
    assert found is not None
    assert (found.n, found.share.value) == (12, 0.25)
    page = experiments_page([tell(kept)])
    assert f"The most frequent class alone, {found.class_name}," in page
    forgotten = Kept(Workspace(Path("gone")), kept.record)
    assert tell(forgotten).baseline is None


def test_the_offline_backbone_is_told_once_and_of_whom_where_attempts_differ(kept: Kept):
    words = "the offline backbone, in place of the published one"
    first, *others = kept.record.attempts
    lite = [replace(item, backbone=OFFLINE_BACKBONE) for item in (first, *others)]
    every = Kept(kept.workspace, replace(kept.record, attempts=tuple(lite)))
    page = experiments_page([tell(every)])
    assert page.count(words) == 1
    assert f"All attempts have {OFFLINE_BACKBONE}, {words}." in page
    some = Kept(kept.workspace, replace(kept.record, attempts=(lite[0], *others)))
    assert f"{words}: {first.name}." in experiments_page([tell(some)])
    assert words not in experiments_page([tell(kept)])


def test_what_was_expected_and_how_good_the_boxes_are_stand_beside_ours(kept: Kept):
    boxes = BoxScore(mean_iou=wilson(8, 10), above_50=wilson(9, 10), above_75=wilson(6, 10), n=10)
    attempts = [replace(item, test_boxes=boxes) for item in kept.record.attempts]
    page = experiments_page([tell(Kept(kept.workspace, replace(
        kept.record, attempts=tuple(attempts))))])  # fmt: skip
    assert "expected 50.0% (40.0% to 60.0%)" in page
    assert page.count(f"<li>test: {boxes.text}</li>") == len(attempts)
    assert "2 minutes" in page


def test_without_an_experiment_it_says_how_to_run_one(tmp_path: Path):
    with pytest.raises(ModelMissing, match="No experiment") as caught:
        build_experiments(Workspace(tmp_path), tmp_path)
    assert "cars-bench run" in caught.value.fix
