"""The networks compute what keras.applications computes, preprocessing included."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest

from cars_bench.backbones.catalogue import CAFFE, LITE, UNIT_RANGE, spec
from cars_bench.backbones.networks import build_network, pooled, preprocessed
from cars_bench.backbones.weights import randomise
from cars_bench.errors import UsageError

SIDE = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype("float32")
FEATURES = np.random.default_rng(3).normal(size=(2, 3, 4, 16)).astype("float32")
MEAN = FEATURES.mean((1, 2))
MAXIMUM = FEATURES.max((1, 2))
APPLICATIONS = {
    "resnet50": ("ResNet50", "resnet"),
    "mobilenet-v2": ("MobileNetV2", "mobilenet_v2"),
    "efficientnet-b0": ("EfficientNetB0", "efficientnet"),
}


def run_preprocessing(preprocessing):
    inputs = keras.Input((SIDE, SIDE, 3))
    return np.asarray(keras.Model(inputs, preprocessed(inputs, preprocessing))(PIXELS))


@pytest.mark.parametrize(
    ("preprocessing", "module"),
    [(CAFFE, "resnet"), (UNIT_RANGE, "resnet_v2"), (UNIT_RANGE, "mobilenet_v2")],
)
def test_preprocessing_is_that_of_keras_applications(preprocessing, module):
    official = importlib.import_module(f"keras.applications.{module}")
    expected = official.preprocess_input(PIXELS.copy())  # it changes its input in place
    np.testing.assert_allclose(run_preprocessing(preprocessing), expected, atol=2e-5)


def test_lite_preprocessing_is_centred_on_127():
    np.testing.assert_allclose(run_preprocessing(LITE), (PIXELS - 127) / 128, atol=1e-6)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_network_agrees_with_keras_applications(name):
    builder, module = APPLICATIONS[name]
    ours = build_network(spec(name), SIDE)
    randomise(ours, gain=1.0)
    official = getattr(keras.applications, builder)(
        include_top=False, weights=None, input_shape=(SIDE, SIDE, 3)
    )
    official.set_weights(ours.get_weights())
    preprocess = importlib.import_module(f"keras.applications.{module}").preprocess_input
    pixels = preprocess(PIXELS.copy())
    if name.startswith("efficientnet"):
        pixels = _official_imagenet_contrast(pixels)
    expected, found = (np.asarray(model(x)) for model, x in ((official, pixels), (ours, PIXELS)))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


def _official_imagenet_contrast(pixels):
    """With mean 0 and variance 1 in Normalization, keras.applications' second division moved up."""
    mean, std = np.float32([0.485, 0.456, 0.406]) * 255, np.float32([0.229, 0.224, 0.225])
    return (pixels - mean) / np.sqrt(std) + mean


def test_efficientnet_with_imagenet_statistics_standardises_pixels():
    # (x / 255 - mean) / std, what the published weights were trained on
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    model = build_network(spec("efficientnet-b0"), SIDE)
    normalization = next(x for x in model.layers if isinstance(x, keras.layers.Normalization))
    normalization.set_weights([mean, std, np.int32(0)])
    normalization.finalize_state()
    found = np.asarray(keras.Model(model.input, normalization.output)(PIXELS))
    np.testing.assert_allclose(found, (PIXELS / 255 - mean) / std, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "repeats", "channels"),
    [  # the TensorFlow TPU models' EfficientNet-Lite
        ("efficientnet-lite0", (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
        ("efficientnet-lite1", (1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
        ("efficientnet-lite2", (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    ],
)
def test_a_lite_is_as_deep_and_as_wide_as_published(name, repeats, channels):
    model = build_network(spec(name), SIDE)
    ends = [layer for layer in model.layers if layer.name.endswith("project_conv")]
    stages = [int(layer.name[len("block")]) for layer in ends]
    assert tuple(stages.count(stage) for stage in sorted(set(stages))) == repeats
    assert tuple(dict.fromkeys(layer.filters for layer in ends)) == channels


def test_lite0_pads_like_tensorflow():
    # TF's 'same' puts the odd pixel at the end: on an even side the first window starts at 0
    model = build_network(spec("efficientnet-lite0"), SIDE)
    stem = model.get_layer("stem_conv")
    kernel = np.zeros(stem.kernel.shape, "float32")
    kernel[0, 0, 0, 0] = 1
    stem.set_weights([kernel])
    found = np.asarray(keras.Model(model.input, stem.output)(PIXELS))[..., 0]
    np.testing.assert_allclose(found, (PIXELS[:, ::2, ::2, 0] - 127) / 128, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("avg", MEAN), ("max", MAXIMUM), ("avgmax", np.concatenate([MEAN, MAXIMUM], 1))],
)
def test_pooling_is_over_positions(pooling, expected):
    found = np.asarray(pooled(FEATURES, pooling))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_unknown_pooling_is_a_usage_error():
    with pytest.raises(UsageError, match="median"):
        pooled(FEATURES, "median")
