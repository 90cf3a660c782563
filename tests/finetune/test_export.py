"""A model is exported and measured, and its record lies beside it.

Covers cars_bench/finetune/export_record.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars_bench.data.dataset import Dataset
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.errors import CacheStale, CarsBenchError, UsageError
from cars_bench.finetune import export as module
from cars_bench.finetune.export import ExportOptions, export
from cars_bench.finetune.export_record import digest_of, exports, read_export, size_of
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.formats import FORMATS, Format, FormatName
from cars_bench.progress import Progress
from cars_bench.training.answers import PROBABILITIES
from cars_bench.workspace import Workspace
from tests.finetune.test_formats import skip_without_packages
from tests.rewriting import rewrite


@pytest.fixture(autouse=True)
def few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMED_CALLS", 7)


def test_the_file_is_measured_on_the_validation_images(finished: Workspace) -> None:
    exported = export(finished, ExportOptions(format="keras"), Progress())
    record = exported.record
    run = FinishedModel.open(finished).run
    assert exported.path == run.folder / "exports" / "model.keras"
    assert read_export(exported.path) == record
    assert exports(run) == (record,)
    assert (record.model, record.quantize) == (f"{run.record.study}/{run.name}", None)
    assert (record.bytes, record.sha256) == (size_of(exported.path), digest_of(exported.path))
    assert record.class_names == run.record.class_names
    assert (record.agreement.images, record.agreement.top1_agreement) == (12, 1.0)
    assert record.agreement.max_abs_diff < 1e-5
    assert record.accuracy == record.keras_accuracy == run.record.finetuned["val"]
    assert record.latency.calls == 7
    assert record.latency.median_milliseconds > 0
    assert record.latency.processor


@pytest.mark.parametrize("name", ["keras", "onnx"])
def test_calibrated_the_temperature_is_inside_and_the_answers_stay(
    finished: Workspace, name: FormatName
) -> None:
    skip_without_packages(name)
    model = FinishedModel.open(finished)
    exported = export(finished, ExportOptions(format=name, calibrated=True), Progress())
    assert exported.path.stem == "model-calibrated"
    assert exported.record.temperature == model.temperature.value != 1
    assert exported.record.accuracy == model.record.finetuned["val"]
    pixels = np.full((1, 48, 48, 3), 99, np.float32)
    logits = np.asarray(model.load()(pixels))[0] / model.temperature.value
    wanted = np.exp(logits - logits.max())
    found = FORMATS[name].open(exported.path, 1)(pixels)[PROBABILITIES][0]
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=1e-4)
    assert export(finished, ExportOptions(format=name), Progress()).record.temperature == 1


def test_a_model_without_temperature_is_not_exported_calibrated(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = FinishedModel.open(finished)
    bare = replace(opened, run=replace(opened.run, record=replace(opened.record, temperature=None)))
    monkeypatch.setattr(module.FinishedModel, "open", lambda *_: bare)
    with pytest.raises(UsageError, match="has no temperature to calibrate it by"):
        export(finished, ExportOptions(format="keras", calibrated=True), Progress())


def test_a_saved_model_is_one_export_with_one_digest(finished: Workspace) -> None:
    exported = export(finished, ExportOptions(format="saved_model"), Progress())
    assert exported.path.name == "saved_model"
    assert read_export(exported.path).sha256 == digest_of(exported.path)
    before = exported.record.sha256
    (exported.path / "saved_model.pb").write_bytes(b"cut")
    assert digest_of(exported.path) != before


def test_eight_bits_are_scaled_on_plain_training_images_only(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    write = FORMATS["tflite"].write

    def spy(source, path, images) -> None:
        given.append(images)
        write(source, path, images)

    monkeypatch.setitem(FORMATS, "tflite", _changed("tflite", write=spy))
    monkeypatch.setattr(module, "CALIBRATION_IMAGES", 9)
    skip_without_packages("tflite")
    record = export(finished, ExportOptions(format="tflite", quantize="int8"), Progress()).record
    dataset = Dataset.load(finished)
    train = module.LiveImages(dataset.records("train"), 48)
    plain = {train[np.array([i]), np.array([0])].tobytes() for i in range(36)}
    assert len(given[0]) == record.calibration_images == 9
    assert {image.astype(np.uint8).tobytes() for image in given[0]} <= plain
    assert record.file == "model-int8.tflite"
    assert "ai_edge_litert" in record.versions


def test_no_accuracy_is_claimed_on_images_that_the_model_was_trained_on(
    finished: Workspace,
) -> None:
    path = FinishedModel.open(finished).folder / "run.json"
    rewrite(path, lambda values: values.update(refit=True))
    record = export(finished, ExportOptions(format="keras"), Progress()).record
    assert (record.accuracy, record.keras_accuracy) == (None, None)
    assert record.agreement.top1_agreement == 1.0


def test_a_format_that_cannot_hold_the_model_says_so_in_one_sentence(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source, path, images) -> None:
        raise RuntimeError("no such operation\nat great length")

    monkeypatch.setitem(FORMATS, "keras", _changed("keras", write=refuse))
    with pytest.raises(CarsBenchError) as caught:
        export(finished, ExportOptions(format="keras"), Progress())
    assert caught.value.message == "Keras cannot hold this model: no such operation."
    assert exports(FinishedModel.open(finished).run) == ()


@pytest.mark.parametrize(
    ("output", "written"), [("mine.keras", "mine.keras"), ("there", "there/model.keras")]
)
def test_the_output_is_a_file_or_a_folder_for_it(
    finished: Workspace, tmp_path: Path, output: str, written: str
) -> None:
    (tmp_path / "there").mkdir()
    options = ExportOptions(format="keras", output=tmp_path / output)
    assert export(finished, options, Progress()).path == tmp_path / written
    assert (tmp_path / f"{written}.json").is_file()


def test_a_name_that_does_not_fit_the_format_is_refused(finished: Workspace) -> None:
    with pytest.raises(UsageError) as caught:
        export(finished, ExportOptions(format="keras", output=Path("a.onnx")), Progress())
    assert caught.value.fix == "--output with a name that ends in .keras"


def test_images_that_were_split_anew_are_not_measured_on(finished: Workspace) -> None:
    source = finished.root / "source"
    prepare(finished, PrepareOptions(source=source, name="tiny", split="50/25/25"), Progress())
    with pytest.raises(CacheStale):
        export(finished, ExportOptions(format="keras"), Progress())
    assert exports(FinishedModel.open(finished).run) == ()


def _changed(name: FormatName, **changes: Any) -> Format:
    return replace(FORMATS[name], **changes)
