"""A built backbone: its parts compose, it repeats, and it loads in plain Keras."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest

from cars_bench.backbones.build import build_backbone
from cars_bench.backbones.catalogue import names
from cars_bench.errors import UsageError

SIDE = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype("float32")
QUICK = ("tiny", "mobilenet-v2", "efficientnet-lite0")

PLAIN_KERAS = """
import sys, numpy, keras
model = keras.saving.load_model(sys.argv[1])
numpy.save(sys.argv[3], model(numpy.load(sys.argv[2])))
assert "cars_bench" not in sys.modules
"""


def assert_alike(found, expected):
    scale = float(abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in names()]
)
def test_trunk_and_top_compose_to_the_model_at_every_stage(name):
    backbone = build_backbone(name, "none", SIDE)
    whole = np.asarray(backbone.model(PIXELS))
    assert whole.shape[-1] == backbone.spec.width
    assert 1e-5 < whole.std() < 1e4, "random features must fit float16"
    stages = list(dict.fromkeys(block.stage for block in backbone.blocks.blocks))
    assert tuple(stages) == backbone.spec.blocks
    for block in (*backbone.spec.blocks, backbone.blocks.blocks[-2].name):
        activation = np.asarray(backbone.trunk(block)(PIXELS))
        assert activation.shape[1:] == backbone.boundary_shape(block)
        assert_alike(np.asarray(backbone.top(block)(activation)), whole)


@pytest.mark.parametrize(
    ("name", "below", "layer"),
    [
        ("tiny", "block2", "block2_activation"),
        ("mobilenet-v2", "block5", "block_12_add"),
        ("efficientnet-lite0", "block5", "block5c_add"),
        pytest.param("resnet50", "conv4", "conv4_block6_out", marks=pytest.mark.slow),
        pytest.param("resnet101v2", "conv4", "conv4_block23_out", marks=pytest.mark.slow),
        pytest.param("efficientnet-b0", "block5", "block5c_add", marks=pytest.mark.slow),
    ],
)
def test_boundary_below_the_default_unfreeze(name, below, layer):
    backbone = build_backbone(name, "none", SIDE)
    assert backbone.boundary_below(backbone.spec.default_unfreeze) == below
    assert backbone.boundary_layer(below) == layer


def test_the_parts_share_their_weights_with_the_model():
    backbone = build_backbone("tiny", "none", SIDE)
    layer = backbone.top("block2").get_layer("block3_conv")
    assert layer is backbone.model.get_layer("block3_conv")


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", pytest.param("resnet50", marks=pytest.mark.slow)]
)
def test_saved_model_loads_in_plain_keras(tmp_path, name):
    model = build_backbone(name, "none", SIDE).model
    saved, pixels, answers = (tmp_path / f for f in ("model.keras", "pixels.npy", "answers.npy"))
    model.save(saved)
    np.save(pixels, PIXELS)
    code = [sys.executable, "-c", PLAIN_KERAS, *map(str, (saved, pixels, answers))]
    subprocess.run(code, check=True, capture_output=True, cwd=tmp_path)
    assert_alike(np.load(answers), np.asarray(model(PIXELS)))


def test_bgr_preprocessing_survives_saving(tmp_path):
    # the flip of the channels is a Keras operation, not a layer
    from cars_bench.backbones.catalogue import CAFFE
    from cars_bench.backbones.networks import preprocessed

    inputs = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(inputs, preprocessed(inputs, CAFFE))
    model.save(tmp_path / "caffe.keras")
    loaded = keras.saving.load_model(tmp_path / "caffe.keras")
    np.testing.assert_array_equal(np.asarray(loaded(PIXELS)), np.asarray(model(PIXELS)))


def test_the_digest_does_not_depend_on_what_was_built_before():
    digests = {build_backbone("efficientnet-lite0", "none", SIDE).weights_digest for _ in range(2)}
    assert len(digests) == 1


def test_pixels_are_not_changed():
    before = PIXELS.copy()
    build_backbone("tiny", "none", SIDE).model.predict(PIXELS, verbose=0)
    np.testing.assert_array_equal(PIXELS, before)


def test_batch_size_changes_features_only_within_tolerance():
    model = build_backbone("efficientnet-lite0", "none", SIDE).model
    one_by_one = np.concatenate([np.asarray(model(PIXELS[i : i + 1])) for i in range(2)])
    assert_alike(one_by_one, np.asarray(model(PIXELS)))


def test_a_backbone_cannot_be_altered():
    backbone = build_backbone("tiny", "none", SIDE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        backbone.image_size = 1


@pytest.mark.parametrize("arguments", [("nonesuch", "none", 224), ("tiny", "none", 31)])
def test_usage_errors(arguments):
    with pytest.raises(UsageError):
        build_backbone(*arguments)
