"""A head with a box, from the search to the finished model and the files made of it.

Covers cars_bench/cache/view_boxes.py and cars_bench/finetune/box_drift.py.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from cars_bench.cache.store import FeatureCache
from cars_bench.cache.view_boxes import view_boxes
from cars_bench.data.dataset import Dataset
from cars_bench.errors import HandoffFailed, UsageError
from cars_bench.evaluation.boxes import ious
from cars_bench.finetune.box_drift import BoxDrift
from cars_bench.finetune.evaluate import evaluate
from cars_bench.finetune.export import ExportOptions, export
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.handoff import measure_whole, require_whole
from cars_bench.finetune.predict import PredictOptions, predict
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import finetune
from cars_bench.finetune.runs import Run
from cars_bench.progress import Progress
from cars_bench.training.answers import Answers
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.tuning.stored_head import winner_boxes
from cars_bench.tuning.study import Study, study_names
from cars_bench.tuning.trained_head import read_head
from cars_bench.workspace import Workspace
from tests.pipeline import copied

SPACE = """\
fixed: {box: true, learning_rate: 0.01, epochs: 3}
hyperparameters:
  units_1: {type: int, min: 16, max: 17}
  depth: {type: choice, values: [1]}
"""


@pytest.fixture(scope="module")
def boxed_once(
    tuned_once: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Run]:
    """A workspace with a finished run whose head tells boxes; do not change it."""
    root = tmp_path_factory.mktemp("boxed") / "workspace"
    workspace = copied(tuned_once, root)
    space = root / "space.yaml"
    space.write_text(SPACE)
    options = TuneOptions(trials=1, space=str(space), study="boxed", repeats=0)
    tune(workspace, options, Progress())
    return root, finetune(workspace, FinetuneOptions(recipe=str(recipe)), Progress())


@pytest.fixture
def boxed(boxed_once: tuple[Path, Run], tmp_path: Path) -> Workspace:
    """A copy to work in."""
    return copied(boxed_once[0], tmp_path / "boxed")


def test_the_trial_keeps_the_overlap_and_the_witness_the_boxes(boxed: Workspace):
    study = Study.open(boxed, "boxed")
    (trial,) = study.trials()
    assert trial.val_iou == trial.epochs[trial.best_epoch - 1].val_iou
    assert 0 < trial.val_iou <= 1
    head = read_head(study.folder / "winner")
    assert head.boxes.shape == (12, 4)


def test_the_winner_keeps_how_good_its_boxes_are_on_validation(boxed: Workspace, boxed_once):
    found = winner_boxes(Study.open(boxed, "boxed"))
    recorded = boxed_once[1].box_score("frozen", "val")
    assert found.n == recorded.n == 12
    assert found.mean_iou.value == pytest.approx(recorded.mean_iou.value, abs=1e-3)
    other = next(name for name in study_names(boxed) if name != "boxed")
    assert winner_boxes(Study.open(boxed, other)) is None


def test_views_of_a_cache_have_boxes_in_its_order(boxed: Workspace):
    cache = FeatureCache.open(boxed)
    boxes = view_boxes(cache, "train")
    assert boxes.shape == (36, 2, 4)
    images = Dataset.load(boxed, "tiny").images
    expected = [images[name].unit_box for name in cache.load("train").image_ids]
    np.testing.assert_allclose(boxes[:, 0], expected, rtol=1e-6)
    assert view_boxes(cache, "train", 1).shape == (36, 1, 4)


def test_the_run_says_how_good_the_boxes_are_and_the_tables_hold_them(boxed_once):
    _, run = boxed_once
    assert set(run.record.boxes.finetuned) == set(run.record.boxes.frozen) == {"val", "test"}
    assert run.record.boxes.finetuned["test"].n == 12
    answers = run.predictions("finetuned", "test")
    assert all(row.box for row in answers)
    assert all(0 <= edge <= 48 for row in answers for edge in row.box)
    assert "mean IoU" in (run.folder / "model-card.md").read_text()
    assert run.record.handoff.boxes.max_abs_diff < 1e-3
    assert run.record.whole_check.boxes.mean_iou > 0.99
    assert all(row.val_iou is not None for row in run.history())


def test_evaluating_again_says_the_same(boxed: Workspace, boxed_once):
    document = evaluate(boxed, None, "test", Progress())
    recorded = boxed_once[1].record.boxes.finetuned["test"]
    said = document["boxes"]["finetuned"]["test"]
    assert said["mean_iou"]["value"] == pytest.approx(recorded.mean_iou.value, abs=1e-3)
    assert said["n"] == 12


def test_predict_writes_boxes_in_pixels_of_the_original(boxed: Workspace, tmp_path: Path):
    from PIL import Image

    picture = next(iter(Dataset.load(boxed, "tiny").images.values())).path
    wide = tmp_path / "pictures" / "wide.png"
    wide.parent.mkdir()
    Image.open(picture).resize((480, 96)).save(wide)
    shutil.copy(picture, wide.with_name("small.png"))
    predict(boxed, [wide.parent], PredictOptions(output=tmp_path / "said.csv"), Progress())
    rows = {row["image_id"]: row for row in csv.DictReader((tmp_path / "said.csv").open())}
    edges = {
        name: [float(row[edge]) for edge in ("x1", "y1", "x2", "y2")] for name, row in rows.items()
    }
    shares = np.array(edges["wide.png"]) / (480, 96, 480, 96)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert edges["wide.png"][2] > 48
    np.testing.assert_allclose(shares, np.array(edges["small.png"]) / 48, atol=0.15)


def test_heatmaps_show_what_speaks_for_the_class(boxed_once):
    found = boxed_once[1].heatmaps()
    assert found is not None
    assert found.images


@pytest.mark.parametrize(
    ("format_", "quantize"),
    [
        ("keras", None),
        ("saved_model", None),
        ("onnx", None),
        ("tflite", None),
        ("onnx", "int8"),
        ("tflite", "int8"),
    ],
)
def test_every_format_gives_both_outputs(boxed: Workspace, format_, quantize):
    record = export(boxed, ExportOptions(format=format_, quantize=quantize), Progress()).record
    assert record.agreement.boxes_iou > (0.8 if quantize else 0.99)
    assert record.agreement.max_abs_diff < (0.5 if quantize else 0.01)


def test_the_saved_keras_model_needs_nothing_of_this_package(boxed_once):
    _, run = boxed_once
    model = keras.models.load_model(run.folder / "model.keras", compile=False)
    said = model.predict_on_batch(np.zeros((2, 48, 48, 3), np.float32))
    assert {name: value.shape for name, value in said.items()} == {
        "probabilities": (2, 4),
        "box": (2, 4),
    }
    own = FinishedModel(run).load().predict_on_batch(np.zeros((2, 48, 48, 3), np.float32))
    np.testing.assert_allclose(said["box"], own[:, 4:], atol=1e-6)


@pytest.mark.usefixtures("not_served")
@pytest.mark.parametrize("refit", [False, True])
def test_live_images_and_a_refit_learn_boxes_too(boxed: Workspace, recipe: Path, refit: bool):
    options = FinetuneOptions(recipe=str(recipe), live=not refit, refit=refit, epochs=1, seed=3)
    run = finetune(boxed, options, Progress())
    assert run.record.boxes.finetuned["test"].n == 12
    assert set(run.record.boxes.finetuned) == ({"test"} if refit else {"val", "test"})


def test_a_recipe_that_mixes_images_is_refused_before_anything_is_spent(
    boxed: Workspace, recipe, tmp_path
):
    mixing = tmp_path / "mixing.yaml"
    mixing.write_text(recipe.read_text() + "  mixup: 0.2\n")
    with pytest.raises(UsageError, match="two objects"):
        finetune(boxed, FinetuneOptions(recipe=str(mixing)), Progress())


def test_a_finished_model_that_puts_its_boxes_elsewhere_is_refused():
    logits = np.eye(4, dtype=np.float32)
    here = np.tile(np.array([0.1, 0.1, 0.4, 0.4], np.float32), (4, 1))
    same = measure_whole(Answers(logits, here), Answers(logits, here), np.arange(4))
    assert same.boxes == BoxDrift(0.0, 1.0)
    assert require_whole(same) is None
    moved = measure_whole(Answers(logits, here), Answers(logits, here + 0.5), np.arange(4))
    assert moved.boxes.mean_iou == ious(here, here + 0.5).mean() == 0
    with pytest.raises(HandoffFailed, match="elsewhere"):
        require_whole(moved)
    assert require_whole(replace(moved, boxes=None)) is None
