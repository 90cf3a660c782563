"""Heads: what is built is what the spec says."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from keras import ops

from cars_bench.training.engine import logits_of
from cars_bench.training.heads import build_head, parameter_count
from cars_bench.training.loop import cross_entropy
from cars_bench.training.specs import ACTIVATIONS, NORMALISATIONS, DenseLayer, HeadSpec

WIDTH, CLASSES = 12, 7
X = np.random.default_rng(0).normal(size=(20, 1, WIDTH)).astype(np.float16)
LABELS = np.arange(20) % CLASSES

SEEDED = HeadSpec(
    layers=(DenseLayer(9, "gelu", batch_norm=True, dropout=0.5), DenseLayer(4, "tanh")),
    normalisation="batch",
    dropout=0.3,
    noise=0.1,
)
HEADS = [
    HeadSpec(),
    HeadSpec(layers=(DenseLayer(9),), dropout=0.3, noise=0.1),
    HeadSpec(
        layers=(DenseLayer(9, "gelu", batch_norm=True, dropout=0.5), DenseLayer(4, "tanh")),
        normalisation="batch",
    ),
    *[HeadSpec(layers=(DenseLayer(5, activation),)) for activation in ACTIVATIONS],
    *[HeadSpec(normalisation=kind) for kind in NORMALISATIONS],
]


@pytest.mark.parametrize("spec", HEADS, ids=HeadSpec.describe)
def test_the_untrained_loss_is_the_logarithm_of_the_classes(spec):
    logits = logits_of(build_head(spec, (WIDTH,), CLASSES), X)
    assert cross_entropy(logits, LABELS) == pytest.approx(math.log(CLASSES), rel=1e-5)


@pytest.mark.parametrize("spec", HEADS, ids=HeadSpec.describe)
def test_parameters_are_counted_without_building(spec):
    model = build_head(spec, (WIDTH,), CLASSES)
    counted = sum(int(np.prod(weight.shape)) for weight in model.weights)
    assert parameter_count(spec, (WIDTH,), CLASSES) == counted


def test_the_same_seed_gives_the_same_kernels_and_another_one_others():
    spec = HeadSpec(layers=(DenseLayer(9),))
    first, again, other = (
        ops.convert_to_numpy(build_head(spec, (WIDTH,), CLASSES, seed).weights[0].value)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_head_on_pooled_features_is_the_one_that_older_studies_trained():
    model = build_head(SEEDED, (WIDTH,), CLASSES, seed=3)
    digest = hashlib.sha256()
    for variable in model.weights:
        digest.update(variable.path.encode())
    for variable in model.variables:  # seeds of dropout and noise among them
        digest.update(ops.convert_to_numpy(variable.value).tobytes())
    assert digest.hexdigest()[:16] == "0b1d5f554e2e598e"


def test_hidden_kernels_start_as_he_et_al_say():
    model = build_head(HeadSpec(layers=(DenseLayer(400),)), (300,), CLASSES)
    kernel = model.get_layer("dense1").kernel
    drawn = ops.convert_to_numpy(kernel.value)
    assert drawn.std() == pytest.approx((2 / 300) ** 0.5, rel=0.01)
    assert abs(drawn).max() < 2.3 * (2 / 300) ** 0.5


def test_the_output_layer_starts_at_zero_or_as_glorot_and_bengio_say():
    spec = HeadSpec(layers=(DenseLayer(300),))
    zero, drawn = (build_head(spec, (WIDTH,), 200, drawn_output=said) for said in (False, True))
    assert not ops.convert_to_numpy(zero.get_layer("logits").kernel.value).any()
    kernel = ops.convert_to_numpy(drawn.get_layer("logits").kernel.value)
    bound = (6 / 500) ** 0.5
    assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert 0.99 * bound < abs(kernel).max() <= bound
    np.testing.assert_array_equal(*(model.get_layer("dense1").kernel for model in (zero, drawn)))


def test_an_l2_penalty_is_the_sum_of_squared_kernels():
    model = build_head(HeadSpec(layers=(DenseLayer(9),), l2=0.1), (WIDTH,), CLASSES)
    kernel = ops.convert_to_numpy(model.weights[0].value)
    assert float(sum(model.losses)) == pytest.approx(0.1 * float((kernel**2).sum()), rel=1e-5)


def test_l2_normalised_features_have_a_mean_square_of_one():
    model = build_head(HeadSpec(normalisation="l2"), (WIDTH,), CLASSES)
    scaled = X[:, 0].astype(np.float32)
    for layer in model.layers[1:-1]:
        scaled = layer(scaled)
    assert (ops.convert_to_numpy(scaled) ** 2).mean(1) == pytest.approx(np.ones(20), rel=1e-4)
