"""`cars-bench export`: what it prints and how it fails."""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path
from typing import get_args

import pytest

from cars_bench.checksums import unsealed
from cars_bench.cli.export import export
from cars_bench.cli.session import Session
from cars_bench.finetune import export as stage
from cars_bench.finetune.formats import FORMATS
from tests.rewriting import rewrite


@pytest.fixture(autouse=True)
def few_calls(monkeypatch):
    monkeypatch.setattr(stage, "TIMED_CALLS", 7)


def test_it_takes_the_formats_that_there_are():
    kinds = inspect.signature(export, eval_str=True).parameters
    assert get_args(get_args(kinds["format"].annotation)[0]) == tuple(FORMATS)


def test_it_tells_what_it_measured_and_where_it_is(finished, capsys):
    session = Session(finished, quiet=True)
    assert session.run(lambda: export(session, format="keras")) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Keras: ")
    assert said[0].endswith("pixels of 48 x 48 in, probabilities of 4 classes out")
    assert said[1].startswith("Agrees with the Keras model on 100.0% of 12 validation images")
    assert said[2].startswith("Top-1 on validation ")
    assert "ms an image (median of 7, one at a time" in said[3]
    assert said[4].endswith("/exports/model.keras")
    assert said[5].endswith("/exports/model.keras.json")


def test_json_holds_the_record_and_the_path(finished, capsys):
    session = Session(finished, json_output=True, quiet=True)
    assert session.run(lambda: export(session, format="keras")) == 0
    document = json.loads(capsys.readouterr().out)
    record = json.loads(Path(document["record"]).read_text())
    values = unsealed(record)
    assert {name: document[name] for name in values} == values
    assert document["path"].endswith("model.keras")
    assert document["agreement"]["top1_agreement"] == 1.0


def test_a_model_trained_on_validation_images_is_said_to_be(finished, capsys):
    path = next(finished.studies.glob("*/final/*/run.json"))
    rewrite(path, lambda values: values.update(refit=True))
    session = Session(finished, quiet=True)
    assert session.run(lambda: export(session, format="keras")) == 0
    assert "Accuracy is not told" in capsys.readouterr().out


@pytest.mark.parametrize(("crop", "how"), [("detector", "by a detector"), ("boxes", "boxes")])
def test_a_model_of_cut_images_says_that_an_export_does_not_cut(finished, capsys, crop, how):
    path = next(finished.studies.glob("*/final/*/run.json"))
    rewrite(path, lambda values: values["dataset"].update(crop=crop))
    session = Session(finished, quiet=True)
    assert session.run(lambda: export(session, format="keras")) == 0
    said = capsys.readouterr().out
    assert "warning: the model was trained on images cut" in said
    assert how in said


def test_what_is_not_installed_ends_with_three_before_anything_is_loaded(
    workspace, capsys, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    session = Session(workspace, quiet=True)
    assert session.run(lambda: export(session, format="tflite")) == 3
    said = capsys.readouterr().err
    assert "TFLite needs ai-edge-litert, which is not installed here." in said
    assert "pip install 'cars-bench[export]'" in said


def test_eight_bits_of_keras_are_a_usage_error(workspace, capsys):
    session = Session(workspace, quiet=True)
    assert session.run(lambda: export(session, format="keras", quantize="int8")) == 2
    assert "--format onnx or tflite" in capsys.readouterr().err


def test_before_fine_tuning_there_is_nothing_to_export(tuned, capsys):
    session = Session(tuned, quiet=True)
    assert session.run(lambda: export(session, format="keras")) == 3
    assert "cars-bench finetune --best" in capsys.readouterr().err
