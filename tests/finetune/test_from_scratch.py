"""A network from scratch, from drawn pictures to the report.

Covers cars_bench/training/examples.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.data.pixels import prepared_view
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.documents import to_json
from cars_bench.errors import UsageError
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.evaluate import evaluate, evaluate_frozen
from cars_bench.finetune.export import ExportOptions, export
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.grad_cam import grad_cam
from cars_bench.finetune.heatmaps import has_heatmaps
from cars_bench.finetune.predict import PredictOptions, predict
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import finetune
from cars_bench.finetune.runs import FINETUNED, FROZEN, Run
from cars_bench.progress import Progress
from cars_bench.reports.page import build_report
from cars_bench.status import read_overview
from cars_bench.training.checkpoint import TrainingState
from cars_bench.training.engine import Examples, logits_of
from cars_bench.training.examples import FRESH, training_examples
from cars_bench.training.loop import TrainingControl
from cars_bench.training.specs import ConvStage, DenseLayer, HeadSpec, TrainingSpec
from cars_bench.tuning.probes import run_probes
from cars_bench.tuning.sanity import run_checks
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.tuning.space import space_of
from cars_bench.tuning.trained_head import HeadTraining, read_head, train_head
from cars_bench.workspace import Workspace
from tests.pipeline import copied

SIDE = 32
CNN = HeadSpec(
    stages=(
        ConvStage(filters=4, batch_norm=True),
        ConvStage(filters=6, residual=True, batch_norm=True, reduce="stride", dropout=0.1),
    ),
    layers=(DenseLayer(8),),
    l1=1e-5,
    penalised="last",
)
TRAINING = TrainingSpec(epochs=2, batch_size=16, learning_rate=0.01)
PIXELS = ExtractOptions(backbone="pixels", image_size=SIDE, augment="strong")


def tuned_as(workspace: Workspace, head: HeadSpec, **options):
    """A study of one trial of this very head."""
    space = space_of({"name": "one", "head": to_json(head), "training": to_json(TRAINING)})
    asked = TuneOptions(trials=1, space=space, workers=1, repeats=0, **options)
    return tune(workspace, asked, Progress())


@pytest.fixture(scope="module")
def pixels_once(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a workspace with a cache of pictures; do not change it."""
    root = tmp_path_factory.mktemp("pixels") / "workspace"
    shutil.copytree(tiny_source, root / "source")
    workspace = Workspace(root)
    prepare(workspace, PrepareOptions(source=root / "source", name="tiny"), Progress())
    extract(workspace, PIXELS, Progress())
    return root


@pytest.fixture
def pixels(pixels_once: Path, tmp_path: Path) -> Workspace:
    """A copy of it to work in."""
    return copied(pixels_once, tmp_path / "pixels")


@pytest.fixture(scope="module")
def scratch_once(pixels_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """Root of a workspace with a finished network from scratch, and its run."""
    workspace = copied(pixels_once, tmp_path_factory.mktemp("scratch") / "workspace")
    tuned_as(workspace, CNN)
    return workspace.root, finetune(workspace, FinetuneOptions(), Progress())


def test_a_cache_of_pictures_holds_every_value_of_a_pixel(pixels):
    cache = FeatureCache.open(pixels)
    stored = cache.load("val")
    pictures = np.asarray(stored.x[:, 0], np.float32)
    dataset = Dataset.load(pixels, "tiny")
    expected = [prepared_view(record, SIDE) for record in dataset.records("val")]
    assert (np.round((pictures + 1) * 127.5) == np.stack(expected)).all()
    recipe = cache.recipe
    assert (recipe.pooling, recipe.boundary, recipe.runtime) == ("none", None, "tensorflow")
    assert cache.manifest.extraction.weights == "none"


def test_the_next_extraction_takes_nothing_over_that_only_a_picture_has(pixels):
    options = ExtractOptions.resolve(pixels, backbone="tiny")
    assert (options.pooling, options.weights, options.runtime) == ("avg", "imagenet", "auto")
    assert ExtractOptions.resolve(pixels).pooling == "none"


def test_pictures_are_trained_on_live_and_look_as_in_the_cache(pixels):
    cache = FeatureCache.open(pixels)
    live = training_examples(cache)
    stored = cache.load("train")
    assert live.x.shape == (len(stored.labels), FRESH, SIDE, SIDE, 3)
    np.testing.assert_array_equal(live.labels, stored.labels)
    images = np.arange(4)
    plain = live.x[images, np.zeros(4, int)]
    np.testing.assert_allclose(plain, np.asarray(stored.x[images, 0], np.float32), atol=1e-3)
    views = live.x[np.zeros(4, int), np.array([7, 8, 9, 7])]
    np.testing.assert_array_equal(views[0], views[3])
    assert all((views[0] != other).any() for other in views[1:3])


def test_a_refit_sees_live_views_of_validation_images_too(pixels):
    cache = FeatureCache.open(pixels)
    both = training_examples(cache, refit=True)
    count = len(cache.load("train").labels)
    np.testing.assert_array_equal(both.labels[count:], cache.load("val").labels)
    last = np.array([len(both.labels) - 1] * 2)
    one, other = both.x[last, np.array([1, 2])]
    assert (one != other).any()


def test_a_network_from_scratch_is_the_one_that_was_tuned(scratch_once, tmp_path):
    root, run = scratch_once
    workspace = copied(root, tmp_path / "scratch")
    record = run.record
    assert record.unfreeze.text == "none"
    assert record.handoff.max_abs_diff <= 1e-3
    assert record.handoff.assembled_agreement == 1
    assert (record.sides, record.width) == ((SIDE, SIDE), 3)
    assert record.frozen["val"].top1 == record.finetuned["val"].top1
    head = read_head(workspace.study(record.study) / "winner")
    finished = FinishedModel.open(workspace)
    dataset = Dataset.load(workspace, "tiny")
    plain = np.stack([prepared_view(item, SIDE) for item in dataset.records("val")])
    assert logits_of(finished.load(), plain[:, None]) == pytest.approx(head.logits, abs=1e-3)


def test_a_killed_training_on_live_pictures_goes_on_as_if_it_had_not_been(pixels):
    cache = FeatureCache.open(pixels)
    what = HeadTraining(HeadSpec(stages=(ConvStage(filters=2),)), TRAINING, 4, 0)
    training, validation = training_examples(cache), Examples.of(cache.load("val"))
    kept: list[TrainingState] = []
    whole, _ = train_head(
        what, training, validation, TrainingControl(lambda row, state: kept.append(state()))
    )
    again, _ = train_head(what, training, validation, TrainingControl(start=kept[0]))
    expected = logits_of(whole, validation.x)
    np.testing.assert_allclose(logits_of(again, validation.x), expected, atol=1e-4)


def test_it_predicts_is_evaluated_and_reported_as_any_other(scratch_once, tmp_path):
    root, run = scratch_once
    workspace = copied(root, tmp_path / "scratch")
    said = evaluate(workspace, None, "test", Progress())
    assert said["finetuned"]["test"] == said["frozen"]["test"]
    assert evaluate_frozen(workspace, None, "val", Progress())["frozen"]["val"]["n"] == 12
    assert said["stages"] == {"frozen": "as tuned", "finetuned": "assembled"}
    page = build_report(workspace).read_text(encoding="utf-8")
    assert "--augment strong" in page
    assert "Winner trained from scratch" in page
    assert "frozen winner" not in page.lower()
    assert "One pass of the frozen backbone" not in page
    assert "Training from scratch, on live views" in page
    assert "policy <code>strong</code>: each view is" in page
    card = (run.folder / "model-card.md").read_text()
    assert "trained the whole network from scratch" in card
    assert "frozen" not in card
    assert "conv 4 bn" in page
    assert "residual 6 bn" in page
    assert "as tuned" in next(iter(read_overview(workspace).studies)).runs[0].stages
    photos = root / "source" / "images"
    answers = predict(workspace, [photos], PredictOptions(tmp_path / "out.csv"), Progress())
    assert answers.images == 60
    exported = export(workspace, ExportOptions(format="keras"), Progress())
    assert exported.path.exists()
    assert has_heatmaps(run.folder)


def test_heat_is_that_of_the_last_map_inside_the_head(scratch_once):
    root, _ = scratch_once
    assembled = FinishedModel.open(Workspace(root)).assembled()
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)
    heat, answered = grad_cam(assembled, pixels)
    assert heat.shape == (2, SIDE // 4, SIDE // 4)
    np.testing.assert_array_equal(answered, np.asarray(assembled.whole()(pixels)).argmax(1))


@pytest.mark.parametrize("asked", ["block3", "all", "last:2"])
def test_there_is_nothing_to_unfreeze_below_it(scratch_once, asked):
    root, _ = scratch_once
    with pytest.raises(UsageError, match="only the picture"):
        finetune(Workspace(root), FinetuneOptions(unfreeze=asked), Progress())


def test_probes_and_checks_refuse_maps(pixels):
    with pytest.raises(UsageError, match="Probes take pooled features"):
        run_probes(pixels, None, None, Progress())
    with pytest.raises(UsageError, match="The checks take pooled features"):
        run_checks(pixels)


@pytest.mark.slow
def test_a_shipped_space_pools_a_map_and_a_refit_ends_well(pixels):
    options = TuneOptions(
        trials=1, space="quick", epochs=1, workers=1, repeats=1, refit="train+val"
    )
    result = tune(pixels, options, Progress())
    assert (result.winner.status, result.head.refit) == ("completed", "train+val")
    assert result.head.shape == (SIDE, SIDE, 3)


@pytest.mark.slow
@pytest.mark.parametrize("cached", [{"pooling": "none"}, {"boundary": "block2"}])
def test_convolutions_go_on_from_a_frozen_networks_map(pixels, recipe, cached, tmp_path):
    options = ExtractOptions(
        backbone="tiny", weights="none", image_size=SIDE, runtime="tensorflow", **cached
    )
    key = extract(pixels, options, Progress()).key
    tuned_as(pixels, CNN, cache=key)
    asked = FinetuneOptions(recipe=str(recipe), unfreeze="default", epochs=1)
    run = finetune(pixels, asked, Progress())
    assert run.record.unfreeze.text == ("block2" if "boundary" in cached else "block3")
    assert run.record.whole_check.top1_agreement == 1
    assert run.record.frozen_check.changed > 0
    finished = FinishedModel(run)
    assert isinstance(finished.assembled(), Assembled)
    dataset = Dataset.load(pixels, "tiny")
    plain = np.stack([prepared_view(item, SIDE) for item in dataset.records("val")])
    answers = logits_of(finished.load(), plain[:, None]).argmax(1)
    said = run.table(FINETUNED, "val")
    assert said.correct.mean() == (answers == [r.label for r in dataset.records("val")]).mean()
    assert run.table(FROZEN, "val").correct.shape == answers.shape
