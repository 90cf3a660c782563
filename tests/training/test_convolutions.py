"""Convolutions: what is built is what the stages say."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from cars_bench.documents import from_json, to_json
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.training.convolutions import last_map, stage_shape
from cars_bench.training.engine import logits_of
from cars_bench.training.heads import build_head, parameter_count
from cars_bench.training.loop import cross_entropy
from cars_bench.training.specs import (
    ACTIVATIONS,
    MAP_POOLINGS,
    NORMALISATIONS,
    PENALISED,
    REDUCTIONS,
    ConvStage,
    DenseLayer,
    HeadSpec,
)

CLASSES = 3
STAGES = st.builds(
    ConvStage,
    filters=st.integers(1, 4),
    blocks=st.integers(1, 3),
    kernel=st.sampled_from((1, 3)),
    residual=st.booleans(),
    batch_norm=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
    dropout=st.sampled_from((0.0, 0.2)),
    reduce=st.sampled_from(REDUCTIONS),
)
HEADS = st.builds(
    HeadSpec,
    stages=st.lists(STAGES, max_size=3).map(tuple),
    layers=st.lists(st.builds(DenseLayer, units=st.integers(1, 5)), max_size=2).map(tuple),
    normalisation=st.sampled_from(NORMALISATIONS),
    map_pooling=st.sampled_from(MAP_POOLINGS),
    l1=st.sampled_from((0.0, 0.01)),
    l2=st.sampled_from((0.0, 0.01)),
    penalised=st.sampled_from(PENALISED),
)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))


@given(spec=HEADS, shape=SHAPES)
@settings(max_examples=25, deadline=None)
def test_the_parameters_of_a_head_on_a_map_are_counted_without_building_it(spec, shape):
    model = build_head(spec, shape, CLASSES)
    assert parameter_count(spec, shape, CLASSES) == model.count_params()
    built = shape
    for stage in spec.stages:
        built = stage_shape(stage, built)
    assert tuple(last_map(model).shape[1:]) == built


@given(spec=HEADS)
def test_a_head_with_stages_is_read_as_it_was_written(spec):
    assert from_json(HeadSpec, to_json(spec)) == spec


def test_a_head_that_was_written_before_there_were_stages_is_read():
    old = {"layers": [], "normalisation": "none", "dropout": 0.1, "noise": 0.0, "l2": 0.0}
    assert from_json(HeadSpec, old) == HeadSpec(dropout=0.1)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((64, 128, 256), "conv 64-128-256 bn -> 512 relu"),
        ((32,), "conv 32 bn -> 512 relu"),
    ],
)
def test_alike_stages_are_told_together(stages, said):
    stages = tuple(ConvStage(filters=item, batch_norm=True) for item in stages)
    assert HeadSpec(stages=stages, layers=(DenseLayer(512),)).describe() == said


def test_depth_and_kind_of_stages_are_told():
    plain = ConvStage(filters=16, dropout=0.2)
    residual = ConvStage(filters=64, blocks=3, residual=True, batch_norm=True)
    spec = HeadSpec(stages=(plain, residual))
    assert spec.describe() == "conv 16, dropout 0.2 -> residual 64x3 bn -> linear"


@pytest.mark.parametrize(
    ("field", "value"),
    [("filters", 0), ("blocks", 0), ("kernel", 0), ("reduce", "crop"), ("dropout", 1.0)],
)
def test_a_stage_that_cannot_be_is_refused(field, value):
    with pytest.raises(CarsBenchError, match=field):
        ConvStage(**{"filters": 4, field: value})


def test_convolutions_on_pooled_features_are_refused_in_one_sentence():
    with pytest.raises(UsageError, match="pooled to 12 numbers"):
        build_head(HeadSpec(stages=(ConvStage(filters=4),)), (12,), CLASSES)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_residual_block_adds_its_input(batch_norm):
    stage = ConvStage(filters=3, residual=True, batch_norm=batch_norm, reduce="none")
    head = build_head(HeadSpec(stages=(stage,)), (4, 4, 3), CLASSES)
    head.get_layer("stage1_block1_conv2").kernel.assign(np.zeros((3, 3, 3, 3)))
    pictures = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)

    out = keras.Model(head.input, last_map(head))(pictures, training=False)
    assert ops.convert_to_numpy(out) == pytest.approx(np.maximum(pictures, 0), abs=1e-6)


def test_the_kernels_of_convolutions_start_as_he_et_al_say():
    head = build_head(HeadSpec(stages=(ConvStage(filters=200),)), (8, 8, 30), CLASSES)
    kernel = ops.convert_to_numpy(head.get_layer("stage1_block1_conv").kernel.value)
    assert kernel.std() == pytest.approx((2 / 270) ** 0.5, rel=0.01)


def test_a_head_with_stages_is_the_same_for_the_same_seed_and_starts_undecided():
    spec = HeadSpec(stages=(ConvStage(filters=4, dropout=0.2),), layers=(DenseLayer(5),))
    first, again, other = (build_head(spec, (8, 8, 3), CLASSES, seed) for seed in (1, 1, 2))
    for one, same in zip(first.variables, again.variables, strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (one.value, same.value)))
    name = "stage1_block1_conv"
    assert (
        ops.convert_to_numpy(first.get_layer(name).kernel.value)
        != ops.convert_to_numpy(other.get_layer(name).kernel.value)
    ).any()
    maps = np.random.default_rng(0).normal(size=(6, 1, 8, 8, 3)).astype(np.float16)
    logits = logits_of(first, maps)
    assert cross_entropy(logits, np.arange(6) % CLASSES) == pytest.approx(math.log(CLASSES))


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.1, 0.2), (0.0, 0.2)])
@pytest.mark.parametrize("penalised", PENALISED)
def test_penalties_are_sums_over_the_penalised_kernels(l1, l2, penalised):
    spec = HeadSpec(
        stages=(ConvStage(filters=2),),
        layers=(DenseLayer(4),),
        l1=l1,
        l2=l2,
        penalised=penalised,
    )
    head = build_head(spec, (4, 4, 3), CLASSES)
    head.get_layer("logits").kernel.assign(np.full((4, CLASSES), 0.5))
    names = ("stage1_block1_conv", "dense1", "logits") if penalised == "all" else ("logits",)
    kernels = [ops.convert_to_numpy(head.get_layer(name).kernel.value) for name in names]
    expected = sum(l1 * abs(kernel).sum() + l2 * (kernel**2).sum() for kernel in kernels)
    assert float(sum(head.losses)) == pytest.approx(float(expected), rel=1e-5)


STRIDED = """
import keras, numpy as np
from cars_bench.training.heads import build_head
from cars_bench.training.specs import ConvStage, HeadSpec

stage = ConvStage(filters=16, residual=True, reduce="stride")
model = build_head(HeadSpec(stages=(stage,)), (64, 64, 3), 4)
model.compile("sgd", "mse")
pictures = np.random.default_rng(0).random((32, 64, 64, 3), np.float32)
for _ in range(2):
    model.train_on_batch(pictures, np.eye(4, dtype=np.float32)[np.arange(32) % 4])
print(float(model.predict_on_batch(pictures).std()) > 0)
"""


def test_a_strided_projection_of_a_picture_trains_with_onednn():
    """TensorFlow's own 1x1 convolution with stride 2 ends the process there: `free()`."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", STRIDED], check=True, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "True"
