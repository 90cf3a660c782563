"""The floor of a fine-tuning step: what is counted, what is timed, what is told."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import keras
import pytest

from cars_bench.training.products import with_products


@pytest.fixture
def benchmark_module(load_benchmark, monkeypatch) -> ModuleType:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    found = load_benchmark("finetune_floor")
    monkeypatch.setattr("cars_bench.finetune.speed.MOST_CALLS", 1)
    return found


@pytest.fixture
def model() -> keras.Model:
    """A depthwise and a 1x1 convolution twice over, a frozen norm, and a head of its own."""
    inputs = keras.Input((6, 6, 4))
    x = inputs
    for _ in range(2):
        x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(trainable=False)(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.Conv2D(4, 1, use_bias=False)(x)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    features = keras.Input((8,))
    head = keras.Model(features, keras.layers.Dense(5)(features), name="head")
    outputs = head(keras.layers.GlobalAveragePooling2D()(x))
    return with_products(keras.Model(inputs, outputs))


def test_multiply_adds_are_those_of_the_definition(benchmark_module, model):
    found = [benchmark_module.multiply_adds(layer) for layer in model.layers]
    depthwise, pointwise = 36 * 9 * 4, 36 * 4 * 4
    strided, dense = 9 * 9 * 4 * 8, 8 * 5
    assert [item for item in found if item] == [
        depthwise, pointwise, depthwise, pointwise, strided, dense
    ]  # fmt: skip


def test_every_layer_has_a_kind_or_is_part_of_the_rest(benchmark_module, model):
    kinds = [benchmark_module.kind_of(layer) for layer in model.layers]
    block = ["depthwise", "batch norm", "activation", "1x1 products"]
    assert kinds == [None, *block, *block, "other convolutions", None, None]


def test_layers_that_do_the_same_are_timed_once_and_counted_twice(
    benchmark_module, model, monkeypatch
):
    timed = []

    def seconds(layer, batch):
        timed.append(benchmark_module.kind_of(layer))
        return 0.002, 0.004

    monkeypatch.setattr(benchmark_module, "layer_seconds", seconds)
    found = benchmark_module.split(model, 2)
    assert sorted(timed) == sorted(found)
    assert found["depthwise"] == pytest.approx({"forward": 2.0, "backward": 4.0})
    assert found["other convolutions"] == pytest.approx({"forward": 1.0, "backward": 2.0})


def test_a_layer_is_timed_forward_and_backward(benchmark_module, model):
    layer = next(item for item in model.layers if benchmark_module.kind_of(item) == "1x1 products")
    forward, backward = benchmark_module.layer_seconds(layer, 2)
    assert forward > 0
    assert backward >= 0


def test_one_line_is_printed_of_all_that_was_measured(benchmark_module, monkeypatch, capsys):
    words = ["finetune_floor.py", "--backbones", "tiny", "--size", "48", "--batch", "4"]
    monkeypatch.setattr(sys, "argv", [*words, "--product", "64"])
    benchmark_module.main()
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    found = said["tiny"]
    assert said["sgemm_gflops"] > 0
    assert found["ratio"] == pytest.approx(found["step_ms"] / found["floor_ms"], rel=0.5, abs=0.02)
    assert set(found["kinds_ms"]) >= {"batch norm", "activation"}
    parts = sum(sum(parts.values()) for parts in found["kinds_ms"].values())
    assert parts + found["rest_ms"] == pytest.approx(found["step_ms"], abs=0.05)
