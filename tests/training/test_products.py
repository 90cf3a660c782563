"""Products in place of convolutions: same outputs, same training, same variables."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from cars_bench.training.products import DepthwiseProduct, PointwiseProduct, with_products


def small_network() -> keras.Model:
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(8, 1, activation="relu", name="expand")(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.DepthwiseConv2D(5, padding="same", activation="tanh", name="large")(x)
    x = layers.DepthwiseConv2D((7, 5), padding="same", use_bias=False, name="oblong")(x)
    x = layers.Conv2D(4, 1, use_bias=False, name="project")(x)
    x = layers.Add()([x, inputs])
    x = layers.Conv2D(6, 1, strides=2, name="strided")(x)
    x = layers.Conv2D(6, 1, groups=2, name="grouped")(x)
    x = layers.Conv2D(6, 3, name="wide")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x)))


@pytest.fixture
def network() -> keras.Model:
    return small_network()


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 6, 6, 4)).astype("float32"), rng.normal(size=(5, 3))


def products(model: keras.Model, kind: type = PointwiseProduct) -> set[str]:
    return {layer.convolution.name for layer in model.layers if type(layer) is kind}


def test_only_plain_1x1_convolutions_are_replaced(network):
    assert products(with_products(network)) == {"expand", "project"}


def test_only_large_depthwise_kernels_that_are_trained_on_small_maps_are_replaced(network):
    assert products(with_products(network), DepthwiseProduct) == {"large", "oblong"}
    network.get_layer("oblong").trainable = False
    assert products(with_products(network), DepthwiseProduct) == {"large"}
    wide = keras.Input((8, 9, 4))
    kept = layers.DepthwiseConv2D(5, padding="same")(wide)
    assert not products(with_products(keras.Model(wide, kept)), DepthwiseProduct)


def test_the_outputs_are_the_same(network):
    fast = with_products(network)
    x, _ = batch()
    np.testing.assert_allclose(
        fast.predict_on_batch(x), network.predict_on_batch(x), rtol=1e-5, atol=1e-6
    )


def test_training_one_trains_the_other_as_if_it_were_trained_itself(network):
    twin = small_network()
    fast = with_products(network)
    for model in (fast, twin):
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        model.train_on_batch(*batch())
    for trained, expected in zip(network.weights, twin.weights, strict=True):
        np.testing.assert_allclose(trained, expected, rtol=1e-4, atol=1e-5)
    fresh = small_network().get_layer("expand").kernel
    assert not np.allclose(network.get_layer("expand").kernel, fresh)


def test_a_frozen_convolution_stays_frozen(network):
    network.get_layer("expand").trainable = False
    fast = with_products(network)
    before = np.array(network.get_layer("expand").kernel)
    fast.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    fast.train_on_batch(*batch())
    np.testing.assert_array_equal(network.get_layer("expand").kernel, before)
    assert len(fast.trainable_variables) == len(network.trainable_variables)
