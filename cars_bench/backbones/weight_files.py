"""Weights on their way into a network: found or fetched, and read (Keras' HDF5, PyTorch)."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from cars_bench.atomic import atomic_file
from cars_bench.backbones.catalogue import BackboneSpec, PublishedFile
from cars_bench.backbones.torch_pickle import NotTensors, UnsafePickle, read_tensors
from cars_bench.errors import WeightsUnavailable
from cars_bench.packages import PackagedFile

_FIX = "give a .weights.h5 or .h5 file of the network without its classifier"
DOWNLOAD_TIMEOUT_SECONDS = 5.0
_LITE_ENDS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
}
_LITE_PARTS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}
"""Layers of an EfficientNet-Lite, as PyTorch's file calls them."""


@dataclass(frozen=True)
class LayerWeights:
    """The arrays of one layer, in the order of Keras' `layer.weights`."""

    layer: str
    arrays: tuple[np.ndarray, ...]


def read_weights(path: Path, model: keras.Model) -> list[LayerWeights]:
    """Read `path` as weights for `model`; nothing in the file is executed.

    Args:
        path: `.weights.h5` (Keras 3), `.h5` (Keras 2, as keras.applications
            publishes), or `.pth` (PyTorch, EfficientNet-Lite only).
        model: The network they are meant for; `.weights.h5` names layers by
            their kind and position only, so it is needed to read one.

    Raises:
        WeightsUnavailable: The file is not a weights file.
    """
    if path.suffix in (".pth", ".pt"):
        return lite_layers(torch_tensors(path), model)
    try:
        with h5py.File(path, "r") as file:
            entries = _keras3(file, model) if "layers" in file else _keras2(file)
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise WeightsUnavailable(f"{path} cannot be read as weights ({error}).", _FIX) from error
    if not entries:
        raise WeightsUnavailable(f"{path} holds no weights.", _FIX)
    return entries


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


def lite_layers(tensors: dict[str, np.ndarray], model: keras.Model) -> list[LayerWeights]:
    """Rename and transpose PyTorch's tensors of an EfficientNet-Lite for Keras.

    Raises:
        WeightsUnavailable: A tensor is missing.
    """
    try:
        return [_from_torch(tensors, layer, prefix) for layer, prefix in _torch_names(model)]
    except KeyError as error:
        raise WeightsUnavailable(
            f"The file does not hold EfficientNet-Lite: {error} is missing.",
            "use --weights imagenet",
        ) from error


def _torch_names(model: keras.Model) -> list[tuple[str, str]]:
    """Pairs of a layer of an EfficientNet-Lite and its prefix in PyTorch's file."""
    pairs = []
    blocks: list[str] = []
    for name in (layer.name for layer in model.layers if layer.weights):
        block, _, part = name.partition("_")
        if name in _LITE_ENDS:
            pairs.append((name, _LITE_ENDS[name]))
            continue
        if block not in blocks:
            blocks.append(block)
        # A layer that an EfficientNet-Lite does not have keeps its name, which no tensor has.
        pairs.append((name, f"_blocks.{len(blocks) - 1}.{_LITE_PARTS.get(part, name)}"))
    return pairs


def _from_torch(tensors: dict[str, np.ndarray], layer: str, prefix: str) -> LayerWeights:
    if layer.endswith("bn"):
        parts = ("weight", "bias", "running_mean", "running_var")
        return LayerWeights(layer, tuple(tensors[f"{prefix}.{part}"] for part in parts))
    kernel = tensors[f"{prefix}.weight"]
    # OIHW -> HWIO; a depthwise kernel [C, 1, k, k] becomes [k, k, C, 1]
    axes = (2, 3, 0, 1) if layer.endswith("dwconv") else (2, 3, 1, 0)
    return LayerWeights(layer, (np.ascontiguousarray(kernel.transpose(axes)),))


def _keras2(file: Any) -> list[LayerWeights]:
    """A group a layer in the order of `layer_names`, its arrays in that of `weight_names`."""
    root = file.get("model_weights", file)
    groups = ((_text(name), root[_text(name)]) for name in root.attrs.get("layer_names", []))
    return [
        LayerWeights(name, tuple(np.asarray(group[_text(key)]) for key in keys))
        for name, group in groups
        if len(keys := group.attrs["weight_names"])
    ]


def _keras3(file: Any, model: keras.Model) -> list[LayerWeights]:
    """`layers/KIND_N/vars/I`: the N-th layer of its kind in the model's order."""
    seen: Counter[str] = Counter()
    entries = []
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        key = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        group = file["layers"].get(f"{key}/vars", {})
        if len(group) or layer.weights:
            arrays = tuple(np.asarray(group[str(index)]) for index in range(len(group)))
            entries.append(LayerWeights(layer.name, arrays))
    return entries


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _snake_case(name: str) -> str:
    """Keras' own rule, e.g. `Conv2D` -> `conv2d`, `BatchNormalization` -> `batch_normalization`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def imagenet_file(spec: BackboneSpec) -> Path:
    """The file with `spec`'s ImageNet weights.

    From the installed package where one holds them; else from Keras' cache, or
    downloaded into it.

    Raises:
        WeightsUnavailable: None is published, or it cannot be had (said within
            seconds when there is no network).
    """
    if spec.imagenet is None:
        raise WeightsUnavailable(
            f"Nobody has trained {spec.name} on ImageNet.", f"{spec.name} needs --weights none"
        )
    if isinstance(spec.imagenet, PackagedFile):
        return spec.imagenet.path(spec.name)
    path = keras_home() / "models" / spec.imagenet.name
    if not path.is_file() or spec.imagenet.md5 not in ("", _md5(path)):
        _download(spec.imagenet, path, spec.name)
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
