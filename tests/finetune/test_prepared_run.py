from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.cache.decoding import ImageSource
from cars_bench.cache.store import FeatureCache
from cars_bench.errors import CacheStale, CarsBenchError, HandoffFailed, InputError, UsageError
from cars_bench.finetune import prepared_run
from cars_bench.finetune.plan import new_plan
from cars_bench.finetune.prepared_run import (
    PreparedRun,
    describe_run,
    measure_drift,
    prepare_run,
    prove,
    sketch_run,
)
from cars_bench.finetune.recipe import FinetuneOptions, Recipe
from cars_bench.progress import Progress
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import TrainedHead, store_winner
from cars_bench.workspace import Workspace
from tests.pipeline import flip_bit
from tests.rewriting import rename


def test_an_honest_study_passes(tuned: Workspace) -> None:
    prepared = prepared_of(tuned)
    found = prove(prepared, Progress())
    assert found.features.images == len(prepared.head.image_ids)
    assert found.features.max_abs_diff < 1e-3
    assert found.features.min_cosine > 0.9999
    assert found.max_abs_diff < 1e-4
    assert found.top1_agreement == found.assembled_agreement == 1.0
    assert found.witness_top1 == found.assembled_top1


def test_drift_is_the_worst_of_all_images() -> None:
    stored = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], np.float16)
    found = measure_drift(stored, stored + np.array([[0, 0], [2, 0], [0, 0]], np.float16))
    assert (found.images, found.max_abs_diff) == (3, 2.0)
    assert found.min_cosine == pytest.approx(np.sqrt(0.5))


def test_other_pixels_stop_it_and_say_by_how_much(
    tuned: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ImageSource.pixels
    monkeypatch.setattr(ImageSource, "pixels", lambda *args: 255 - honest(*args), raising=True)
    with pytest.raises(HandoffFailed, match=r"differ by up to \d") as caught:
        prove(prepared_of(tuned), Progress())
    assert caught.value.code == 1
    assert "preprocessing" in caught.value.message + caught.value.fix


def test_another_image_file_stops_it(tuned: Workspace) -> None:
    image = next(iter(prepared_of(tuned).dataset.records("val"))).path
    image.write_bytes(next(image.parent.glob("00*.png")).read_bytes() + b"more")
    with pytest.raises(InputError, match=image.name):
        prove(prepared_of(tuned), Progress())


def test_another_preprocessing_of_the_assembled_model_stops_it(
    tuned: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepared_of(tuned)
    prepared = replace(prepared, head=all_right(prepared.head))
    layer = prepared.assembled.backbone.model.get_layer("preprocess_scale")
    layer.scale, layer.offset = 1.0, 0.0
    monkeypatch.setattr(prepared_run, "recompute", lambda cache, *_: cache.load("val").x[:, 0])
    with pytest.raises(HandoffFailed, match="less accurate"):
        prove(prepared, Progress())


def test_a_damaged_witness_is_refused_by_name(tuned: Workspace) -> None:
    witness = Study.open(tuned).folder / "winner" / "witness.npz"
    flip_bit(witness)
    with pytest.raises(CarsBenchError, match=r"witness\.npz is damaged"):
        prepared_of(tuned)


def test_a_head_that_cannot_be_trained_to_its_score_again_is_refused(tuned: Workspace) -> None:
    study = Study.open(tuned)
    cache = FeatureCache.open(tuned, study.cache_key)
    record = replace(study.trial("t0000"), score=1.0, low=1.1)
    with pytest.raises(CarsBenchError, match="trained again scores"):
        store_winner(study, record, cache)


def test_other_weights_of_the_backbone_are_refused(tuned: Workspace, tmp_path: Path) -> None:
    cache = FeatureCache.open(tuned)
    network = prepared_of(tuned).assembled.backbone.model
    kernel = network.get_layer("block1_conv").kernel
    kernel.assign(kernel + 0.01)
    network.save_weights(tmp_path / "other.weights.h5")
    extraction = replace(cache.manifest.extraction, weights=str(tmp_path / "other.weights.h5"))
    replace(cache.manifest, extraction=extraction).write(cache.folder)
    with pytest.raises(CacheStale, match="weights"):
        prepared_of(tuned)


def test_a_flipped_bit_in_the_head_is_refused(tuned: Workspace) -> None:
    path = Study.open(tuned).folder / "winner" / "head.weights.h5"
    flip_bit(path)
    with pytest.raises(CarsBenchError, match="digest"):
        prepared_of(tuned)


def test_changed_classes_are_refused_by_name(tuned: Workspace) -> None:
    study = Study.open(tuned).folder / "study.json"
    rename(study, '"cross"', '"plus"')
    with pytest.raises(CacheStale, match=r"cross.*plus") as caught:
        prepared_of(tuned)
    assert caught.value.code == 4


def test_a_description_of_a_run_trains_and_writes_nothing(tuned: Workspace) -> None:
    before = set(tuned.root.rglob("*"))
    found = describe_run(sketch_run(tuned, new_plan(tuned, FinetuneOptions(unfreeze="block3"))))
    assert (found["boundary"], found["layers"]) == ("block2", ["block3_conv"])
    assert found["trainable_parameters"] > 0
    assert set(tuned.root.rglob("*")) == before


def test_a_sketch_has_the_shapes_of_the_run_and_another_head(tuned: Workspace) -> None:
    prepared = prepared_of(tuned)
    sketch = sketch_run(tuned, prepared.plan)
    one, other = (item.assembled.head for item in (prepared, sketch))
    assert [v.shape for v in one.variables] == [v.shape for v in other.variables]
    assert (sketch.boundary, sketch.box) == (prepared.boundary, prepared.box) == ("block2", False)


def test_a_fresh_head_differs_from_the_trained_one_alone(tuned: Workspace) -> None:
    prepared = prepared_of(tuned)
    fresh = prepared.with_fresh_head()
    assert fresh.assembled.backbone is prepared.assembled.backbone
    one, other = (
        np.array(item.assembled.head.get_layer("logits").kernel) for item in (prepared, fresh)
    )
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
    assert other.any()  # at zero it would hide what a fresh head does to a trained backbone


def all_right(head: TrainedHead) -> TrainedHead:
    """The head as if every image were what it says, so that any other answer is a fall."""
    return replace(head, labels=head.logits.argmax(1))


def prepared_of(workspace: Workspace) -> PreparedRun:
    return prepare_run(workspace, new_plan(workspace, FinetuneOptions()))


def test_boxes_of_mixed_images_are_refused_before_a_run_is_described(
    tuned: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Study.trial
    boxed = HeadSpec(box=True)
    monkeypatch.setattr(Study, "trial", lambda *args: replace(honest(*args), head=boxed))
    plan = new_plan(tuned, FinetuneOptions(recipe=Recipe(training=TrainingSpec(mixup=0.2))))
    for ask in (sketch_run, prepare_run):
        with pytest.raises(UsageError, match="mixed images"):
            ask(tuned, plan)
