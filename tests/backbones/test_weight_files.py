"""Weights files: Keras' two HDF5 layouts round trip, PyTorch's is converted, others are refused."""

from __future__ import annotations

import h5py
import keras
import numpy as np
import pytest

from cars_bench.backbones.build import build_backbone
from cars_bench.backbones.catalogue import spec
from cars_bench.backbones.networks import build_network
from cars_bench.backbones.weight_files import lite0_layers, torch_tensors
from cars_bench.backbones.weights import randomise, weights_digest
from cars_bench.errors import WeightsUnavailable
from tests.backbones.lite0 import lite0_file, needs_lite0

SIDE = 32
OFFICIAL = {
    "resnet50v2": "ResNet50V2",
    "mobilenet-v2": "MobileNetV2",
    "efficientnet-b0": "EfficientNetB0",
}


def other_weights(name="tiny"):
    model = build_network(spec(name), SIDE)
    randomise(model, gain=1.0, seed=99)
    return model


def write_legacy(model, path):
    """Write the layout that keras.applications publishes (Keras 2)."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            keys = [f"{layer.name}/weight_{i}:0".encode() for i in range(len(layer.weights))]
            group.attrs["weight_names"] = keys
            for key, array in zip(keys, layer.get_weights(), strict=True):
                group[key.decode()] = array


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_our_own_files_load(tmp_path, suffix):
    model, path = other_weights(), tmp_path / f"tiny{suffix}"
    if suffix == ".h5":
        write_legacy(model, path)
    else:
        model.save_weights(path)
    assert build_backbone("tiny", str(path), SIDE).weights_digest == weights_digest(model)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("resnet50v2", ".h5"), ("mobilenet-v2", ".weights.h5"), ("efficientnet-b0", ".h5")],
)
def test_files_of_the_official_networks_load(tmp_path, name, suffix):
    builder = getattr(keras.applications, OFFICIAL[name])
    official = builder(include_top=False, weights=None, input_shape=(64, 64, 3))
    randomise(official, gain=1.0, seed=5)
    path = tmp_path / f"official{suffix}"
    if suffix == ".h5":
        write_legacy(official, path)
    else:
        official.save_weights(path)
    assert build_backbone(name, str(path), SIDE).weights_digest == weights_digest(official)


def test_a_file_of_another_network_names_the_first_mismatch(tmp_path):
    path = tmp_path / "tiny.weights.h5"
    other_weights().save_weights(path)
    with pytest.raises(WeightsUnavailable, match=r"stem_conv needs \[\(3, 3, 3, 32\)\]"):
        build_backbone("efficientnet-lite0", str(path), SIDE)


def test_a_file_with_a_classifier_is_refused(tmp_path):
    model = other_weights()
    dense = keras.layers.Dense(2, name="predictions")
    full = keras.Model(model.input, dense(keras.layers.Flatten()(model.output)))
    write_legacy(full, tmp_path / "full.h5")
    with pytest.raises(WeightsUnavailable, match="7 layers with weights, the network 6"):
        build_backbone("tiny", str(tmp_path / "full.h5"), SIDE)


def test_a_file_with_a_layer_left_out_is_refused(tmp_path):
    path = tmp_path / "tiny.weights.h5"
    other_weights().save_weights(path)
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_1"]
    with pytest.raises(WeightsUnavailable, match=r"'block2_conv' has \[\]"):
        build_backbone("tiny", str(path), SIDE)


def test_empty_kernels_are_not_taken_for_trained_ones(tmp_path):
    path, model = tmp_path / "zero.h5", build_network(spec("tiny"), SIDE)
    for layer in model.layers:
        layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])
    write_legacy(model, path)
    with pytest.raises(WeightsUnavailable, match=r"block1_conv.*never trained"):
        build_backbone("tiny", str(path), SIDE)


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x89HDF\r\n\x1a\n cut"])
def test_a_file_that_is_not_hdf5_is_refused(tmp_path, content):
    path = tmp_path / "bad.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match=r"bad\.h5 cannot be read as weights"):
        build_backbone("tiny", str(path), SIDE)


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(WeightsUnavailable, match="holds no weights"):
        build_backbone("tiny", str(path), SIDE)


def test_a_missing_file_is_exit_3():
    with pytest.raises(WeightsUnavailable, match="no weights file") as caught:
        build_backbone("tiny", "nowhere.weights.h5", SIDE)
    assert caught.value.code == 3


@needs_lite0
def test_lite0_gets_every_tensor_but_the_classifier_and_the_counters():
    tensors = torch_tensors(lite0_file())
    entries = lite0_layers(tensors)
    model = build_network(spec("efficientnet-lite0"), 32)
    assert [e.layer for e in entries] == [layer.name for layer in model.layers if layer.weights]
    used = sum(array.size for entry in entries for array in entry.arrays)
    left = sum(a.size for n, a in tensors.items() if n.startswith("_fc") or "num_batches" in n)
    assert used + left == sum(array.size for array in tensors.values())


@needs_lite0
def test_lite0_layouts_are_converted():
    tensors = torch_tensors(lite0_file())
    kernels = {entry.layer: entry.arrays[0] for entry in lite0_layers(tensors)}
    conv, depthwise = tensors["_conv_stem.weight"], tensors["_blocks.0._depthwise_conv.weight"]
    assert kernels["stem_conv"][1, 2, 0, 5] == conv[5, 0, 1, 2]
    assert kernels["block1a_dwconv"][1, 2, 7, 0] == depthwise[7, 0, 1, 2]


def test_an_incomplete_torch_file_names_the_missing_tensor():
    with pytest.raises(WeightsUnavailable, match=r"_conv_stem\.weight"):
        lite0_layers({})
