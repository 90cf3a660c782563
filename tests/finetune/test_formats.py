"""Every format holds the same model: pixels in, probabilities out, also in 8 bits."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from cars_bench.backbones.build import build_backbone
from cars_bench.errors import InputError, UsageError
from cars_bench.finetune import formats
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.formats import FORMATS, Exportable, FormatName
from cars_bench.finetune.runs import Run
from cars_bench.training.answers import PROBABILITIES
from cars_bench.training.heads import OUTPUT_LAYER, build_head
from cars_bench.training.specs import ACTIVATIONS, DenseLayer, HeadSpec
from cars_bench.workspace import Workspace

SIDE = 48


@pytest.fixture(scope="module")
def source(finished_once: tuple[Path, Run]) -> Exportable:
    model = FinishedModel.open(Workspace(finished_once[0]))
    return Exportable(model.assembled().finished(), model.class_names, model.image_size)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (8, SIDE, SIDE, 3)).astype(np.float32)


def skip_without_packages(name: FormatName) -> None:
    for package in FORMATS[name].packages:
        pytest.importorskip(package, reason="pip install 'cars-bench[export]'")


def written(source: Exportable, name: FormatName, folder: Path, images=None) -> Path:
    skip_without_packages(name)
    path = folder / f"model{FORMATS[name].suffix}"
    FORMATS[name].write(source, path, images)
    return path


@pytest.fixture(scope="module")
def in_eight_bits(
    source: Exportable, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[FormatName], Path]:
    """Gives the file of a format, written once."""
    folder = tmp_path_factory.mktemp("int8")
    return cache(lambda name: written(source, name, folder, images))


def test_the_names_are_those_that_the_command_takes() -> None:
    assert tuple(FORMATS) == get_args(FormatName)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_answers_as_the_model(
    name: FormatName, source: Exportable, images: np.ndarray, tmp_path: Path
) -> None:
    answer = FORMATS[name].open(written(source, name, tmp_path), 1)
    said = np.concatenate([answer(image[None])[PROBABILITIES] for image in images])
    np.testing.assert_allclose(said, source.model.predict_on_batch(images), atol=1e-5)


@pytest.mark.parametrize("name", [name for name, item in FORMATS.items() if item.quantizes])
def test_eight_bits_are_smaller_and_answer_nearly_so(
    name: FormatName,
    source: Exportable,
    images: np.ndarray,
    in_eight_bits: Callable[[FormatName], Path],
) -> None:
    answer = FORMATS[name].open(in_eight_bits(name), 1)
    said = np.concatenate([answer(image[None])[PROBABILITIES] for image in images])
    assert said.dtype == np.float32
    own = source.model.predict_on_batch(images)
    assert 1e-5 < np.abs(said - own).max() < 0.05


def test_eight_bits_of_tflite_are_whole_numbers_between_pixels_and_probabilities(
    in_eight_bits: Callable[[FormatName], Path],
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(in_eight_bits("tflite")))
    kinds = [np.dtype(item["dtype"]).name for item in interpreter.get_tensor_details()]
    assert kinds.count("float32") == 2
    assert kinds.count("int8") > 10


def test_an_onnx_file_names_its_ends_and_its_classes(source: Exportable, tmp_path: Path) -> None:
    path = written(source, "onnx", tmp_path)
    import onnx

    model = onnx.load(path)
    onnx.checker.check_model(model)
    ends = [model.graph.input[0], model.graph.output[0]]
    assert [end.name for end in ends] == ["pixels", "probabilities"]
    assert [end.type.tensor_type.shape.dim[0].dim_param for end in ends] == ["N", "N"]
    told = {item.key: item.value for item in model.metadata_props}
    assert json.loads(told["class_names"]) == list(source.class_names)


@pytest.mark.parametrize("name", ["keras", "saved_model"])
def test_a_format_of_floats_only_refuses_eight_bits(name: FormatName) -> None:
    with pytest.raises(UsageError, match="floats only") as caught:
        FORMATS[name].require("int8")
    assert caught.value.fix == "--format onnx or tflite"


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch) -> None:
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else name
    )
    with pytest.raises(InputError) as caught:
        FORMATS["onnx"].require(None)
    assert caught.value.message == "ONNX needs onnxruntime, which is not installed here."
    assert caught.value.fix == "pip install 'cars-bench[export]'"
    FORMATS["keras"].require(None)
    assert formats.FORMATS["tflite"].packages == ("ai_edge_litert",)


def test_a_saved_model_replaces_none_but_its_like(source: Exportable, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="no SavedModel"):
        FORMATS["saved_model"].write(source, photos, None)
    assert (photos / "a.jpg").read_bytes() == b"mine"
    for _ in range(2):
        FORMATS["saved_model"].write(source, tmp_path / "served", None)


def test_an_onnx_file_asks_for_pixels_and_nothing_else(images: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="pip install 'cars-bench[export]'")
    pixels = keras.Input((SIDE, SIDE, 3))
    normalised = keras.layers.Normalization()
    normalised.adapt(images)
    pooled = keras.layers.GlobalAveragePooling2D()(normalised(pixels))
    model = keras.Model(pixels, keras.layers.Dense(4, activation="softmax")(pooled))
    path = written(Exportable(model, "abcd", SIDE), "onnx", tmp_path)
    said = FORMATS["onnx"].open(path, 1)(images)[PROBABILITIES]
    np.testing.assert_allclose(said, model.predict_on_batch(images), atol=1e-5)


@pytest.fixture(scope="module")
def every_part() -> Exportable:
    """Heads with every activation, one for each normalisation, side by side: one conversion."""
    layers = tuple(DenseLayer(8, activation=activation) for activation in ACTIVATIONS)
    backbone = build_backbone("tiny", "none", SIDE)
    pixels = keras.Input((SIDE, SIDE, 3))
    answers = []
    for normalisation in ("l2", "batch", "layer"):
        head = build_head(HeadSpec(layers=layers, normalisation=normalisation), (16,), 4)
        output = head.get_layer(OUTPUT_LAYER)
        output.kernel.assign(np.random.default_rng(1).normal(0, 1, output.kernel.shape))
        finished = Assembled(backbone, "avg", head).finished()
        finished.name = normalisation
        answers.append(finished(pixels))
    model = keras.Model(pixels, keras.layers.Concatenate()(answers))
    return Exportable(model, "abcdefghijkl", SIDE)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_every_part_that_a_head_may_have_can_be_written(
    name: FormatName, every_part: Exportable, images: np.ndarray, tmp_path: Path
) -> None:
    own = every_part.model.predict_on_batch(images)
    for scales, tolerance in ((None, 1e-5), (images, 0.2)):
        answer = FORMATS[name].open(written(every_part, name, tmp_path, scales), 1)
        said = np.concatenate([answer(image[None])[PROBABILITIES] for image in images])
        np.testing.assert_allclose(said, own, atol=tolerance)
