"""Weights: random ones repeat, assigned ones are proven, the digest follows the values."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cars_bench.backbones.build import build_backbone
from cars_bench.backbones.catalogue import spec
from cars_bench.backbones.networks import build_network
from cars_bench.backbones.weight_files import LayerWeights
from cars_bench.backbones.weights import assign, weights_digest
from cars_bench.errors import WeightsUnavailable


@pytest.fixture
def model():
    return build_backbone("tiny", "none", 32).model


def entries_of(model):
    return [
        LayerWeights(layer.name, tuple(w + 1 for w in layer.get_weights()))
        for layer in model.layers
        if layer.weights
    ]


def test_random_weights_repeat_whatever_the_global_seed():
    keras.utils.set_random_seed(1)
    first = build_backbone("tiny", "none", 32)
    keras.utils.set_random_seed(2)
    assert build_backbone("tiny", "none", 48).weights_digest == first.weights_digest


def test_digest_of_tiny_is_pinned():
    # a change here makes every cache of tiny stale: change it knowingly
    digest = build_backbone("tiny", "none", 32).weights_digest
    assert digest.startswith("09f6fc37")


def test_digest_changes_with_one_bit(model):
    before = weights_digest(model)
    layer = model.get_layer("block2_bn")
    arrays = layer.get_weights()
    arrays[3].view(np.uint32)[5] ^= 1
    layer.set_weights(arrays)
    assert weights_digest(model) != before


def test_assigned_weights_are_there_whatever_the_order_of_named_entries(model):
    entries = entries_of(model)
    assign(model, entries[::-1], "memory")
    for entry in entries:
        for found, wanted in zip(
            model.get_layer(entry.layer).get_weights(), entry.arrays, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


def test_renamed_layers_are_assigned_by_position(model):
    entries = [LayerWeights("other_" + entry.layer, entry.arrays) for entry in entries_of(model)]
    assign(model, entries, "memory")
    np.testing.assert_array_equal(
        model.get_layer("block3_conv").get_weights()[0], entries[4].arrays[0]
    )


def test_normalization_computes_with_what_was_assigned():
    model = build_network(spec("efficientnet-b0"), 32)
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    entries = [
        LayerWeights(item.name, tuple(item.get_weights())) for item in model.layers if item.weights
    ]
    mean, variance = np.float32([1, 2, 3]), np.float32([4, 4, 4])
    place = next(i for i, entry in enumerate(entries) if entry.layer == layer.name)
    entries[place] = LayerWeights(layer.name, (mean, variance, np.int32(0)))
    assign(model, entries, "memory")
    np.testing.assert_allclose(np.asarray(layer(np.zeros((1, 1, 1, 3)))).ravel(), -mean / 2)


def test_the_first_mismatch_is_named_and_nothing_is_assigned(model):
    before = weights_digest(model)
    entries = entries_of(model)
    entries[2] = LayerWeights("block2_conv", (np.zeros((3, 3, 8, 13), np.float32),))
    with pytest.raises(WeightsUnavailable, match=r"block2_conv needs .*12.* has .*13"):
        assign(model, entries, "memory")
    assert weights_digest(model) == before


def test_missing_layers_are_counted(model):
    with pytest.raises(WeightsUnavailable, match="5 layers with weights, the network 6"):
        assign(model, entries_of(model)[:-1], "memory")


def test_values_that_are_not_finite_are_refused(model):
    entries = entries_of(model)
    entries[0].arrays[0][0, 0, 0, 0] = np.nan
    with pytest.raises(WeightsUnavailable, match="not finite"):
        assign(model, entries, "memory")
