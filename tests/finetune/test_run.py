from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data import pixels
from cars_bench.data.dataset import Dataset
from cars_bench.evaluation.metrics import topk_correct
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.handoff import FrozenCheck
from cars_bench.finetune.plan import read_plan
from cars_bench.finetune.prepared_run import prepare_run
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import finetune
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.training import loop
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import head_of_trial, store_winner
from cars_bench.workspace import Workspace

pytestmark = pytest.mark.usefixtures("not_served")

Finished = tuple[Path, Run]


def test_the_record_says_what_was_done(finished_once: Finished) -> None:
    record = finished_once[1].record
    assert record.unfreeze.layers == ("block3_conv",)
    assert record.unfreeze.boundary == "block2"
    assert record.handoff.top1_agreement == 1.0
    assert record.frozen_check == FrozenCheck(unchanged=14, batch_norm_unchanged=12, changed=1)
    assert record.epochs == 3
    assert record.recipe.views == 2
    assert record.frozen["val"].n == record.finetuned["test"].n == 12


def test_the_whole_model_says_what_the_trained_top_said(finished_once: Finished) -> None:
    folder = finished_once[1].folder
    record = finished_once[1].record
    best = record.best_epoch
    row = (folder / "history.csv").read_text().splitlines()[best].split(",")
    assert float(row[3]) == pytest.approx(record.finetuned["val"].top1.value)


def test_nothing_is_trained_with_none(tuned: Workspace, recipe: Path) -> None:
    result = finetune(tuned, FinetuneOptions(recipe=str(recipe), unfreeze="none"), Progress())
    record = result.record
    assert record.epochs == 0
    assert record.finetuned == record.frozen


@pytest.mark.parametrize("unfreeze", ["last:2", "all"])
def test_live_and_cached_runs_end_with_a_model(
    tuned: Workspace, recipe: Path, unfreeze: str
) -> None:
    options = FinetuneOptions(recipe=str(recipe), unfreeze=unfreeze, epochs=1, live=True)
    record = finetune(tuned, options, Progress()).record
    assert record.recipe.live is True
    assert np.isfinite(record.finetuned["val"].top1.value)


def test_live_training_never_shows_the_same_view_twice(tuned: Workspace, recipe: Path) -> None:
    options = FinetuneOptions(recipe=str(recipe), live=True, refit=True, epochs=2)
    with mock.patch.object(pixels, "augmented_image", wraps=pixels.augmented_image) as drawn:
        finetune(tuned, options, Progress())
    # View 0 is the plain image, which the measurements take.
    views = [call.args[-1] for call in drawn.call_args_list]
    shown = [(view.image_id, view.number) for view in views if view.number]
    dataset = Dataset.load(tuned)
    trained_on = [*dataset.records("train"), *dataset.records("val")]
    assert {image_id for image_id, _ in shown} == {record.image_id for record in trained_on}
    assert len(set(shown)) >= 2 * len(trained_on)


def test_the_whole_model_is_proven_against_the_part_that_was_trained(
    finished_once: Finished,
) -> None:
    proof = finished_once[1].record.whole_check
    assert proof
    assert proof.images == finished_once[1].record.finetuned["val"].n
    assert proof.top1_agreement == 1.0
    assert proof.max_abs_diff < 0.02


def test_a_refit_trains_on_both_for_all_epochs_and_is_measured_on_test_alone(
    tuned: Workspace, recipe: Path
) -> None:
    options = FinetuneOptions(recipe=str(recipe), refit=True)
    with mock.patch.object(loop, "draw_epoch", wraps=loop.draw_epoch) as planned:
        record = finetune(tuned, options, Progress()).record
    dataset = Dataset.load(tuned)
    both = len(dataset.records("train")) + len(dataset.records("val"))
    assert [len(call.args[1]) for call in planned.call_args_list] == [both] * 3
    assert record.epochs == record.best_epoch == 3
    assert set(record.finetuned) == set(record.frozen) == {"test"}


def test_a_winner_that_saw_the_validation_images_is_not_measured_on_them(
    tuned: Workspace, recipe: Path
) -> None:
    study = Study.open(tuned)
    trial, cache = best_trial(study), FeatureCache.open(tuned, study.cache_key)
    plain = head_of_trial(study, trial, cache, refit=False)
    seen = store_winner(study, trial, cache, refit="train+val")
    assert head_of_trial(study, trial, cache, refit=True).folder == seen.folder
    record = finetune(tuned, FinetuneOptions(recipe=str(recipe), epochs=1), Progress()).record
    measured = topk_correct(plain.logits, plain.labels, 1).mean()
    assert record.frozen["val"].top1.value == pytest.approx(measured)
    assert not np.array_equal(plain.logits, seen.logits)


def test_a_random_head_starts_without_the_trained_one(tuned: Workspace, recipe: Path) -> None:
    options = FinetuneOptions(recipe=str(recipe), epochs=1, warm_up=False)
    record = finetune(tuned, options, Progress()).record
    assert record.warm_up is False


def test_a_second_run_does_not_overwrite_the_first(finished: Workspace, recipe: Path) -> None:
    first = FinishedModel.open(finished).folder.name
    second = finetune(finished, FinetuneOptions(recipe=str(recipe), epochs=1), Progress())
    assert second.folder.name == f"{first}-2"


@pytest.mark.slow
def test_resnet50_all_the_way(workspace: Workspace, tiny_dataset: Dataset, recipe: Path) -> None:
    options = ExtractOptions(
        backbone="resnet50", weights="none", image_size=64, runtime="tensorflow"
    )
    extract(workspace, options, Progress())
    tune(workspace, TuneOptions(trials=2, space="quick", epochs=2), Progress())
    chosen = replace(FinetuneOptions(), recipe=str(recipe), unfreeze="last:5", epochs=1)
    result = finetune(workspace, chosen, Progress())
    record = Run.open(result.folder).record
    assert record.unfreeze.boundary == "conv5_block1"
    assert len(record.unfreeze.layers) == 5


@pytest.mark.slow
def test_the_default_run_says_what_it_does_and_traces_no_model_twice(tuned: Workspace) -> None:
    command = [sys.executable, "-m", "cars_bench", "finetune", "--best", "--epochs", "3"]
    done = subprocess.run(
        [*command, "--workspace", str(tuned.root)],
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "retracing" not in done.stderr
    said = done.stderr.splitlines()
    assert said[0] == "Loading Keras on TensorFlow"
    assert said[1].startswith("Opening the backbone and the head of t000")
    assert "  compiling; the first epoch takes longest" in said
    assert [line.split()[0] for line in said[-3:]] == ["Exporting", "Timing", "Drawing"]


def test_a_run_that_begins_on_smaller_images_says_so(
    tuned: Workspace, recipe: Path, tmp_path: Path
) -> None:
    growing = tmp_path / "growing.yaml"
    growing.write_text(recipe.read_text() + "early: {share: 0.67}\n")
    run = finetune(tuned, FinetuneOptions(recipe=str(growing)), Progress())
    assert run.record.early_pixels == 32
    plan = read_plan(run.folder)
    assert prepare_run(tuned, plan).epoch_weights == pytest.approx([(2 / 3) ** 2] * 2 + [1.0])
    assert "the first 2 on images of 32 pixels" in (run.folder / "model-card.md").read_text()
    assert run.record.whole_check
    assert run.record.whole_check.top1_agreement == 1.0
    cached = FeatureCache.open(tuned, str(run.record.boundary_cache_key))
    assert cached.recipe.image_size == run.record.backbone.image_size
