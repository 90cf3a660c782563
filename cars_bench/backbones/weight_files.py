"""Read weights files into plain arrays: Keras' two HDF5 layouts, and lite0's PyTorch file."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from cars_bench.backbones.imagenet import lite0_layers, torch_tensors
from cars_bench.backbones.layer_weights import LayerWeights
from cars_bench.errors import WeightsUnavailable

_FIX = "give a .weights.h5 or .h5 file of the network without its classifier"


def read_weights(path: Path, model: keras.Model) -> list[LayerWeights]:
    """Read `path` as weights for `model`; nothing in the file is executed.

    Args:
        path: `.weights.h5` (Keras 3), `.h5` (Keras 2, as keras.applications
            publishes), or `.pth` (PyTorch, EfficientNet-Lite0 only).
        model: The network they are meant for; `.weights.h5` names layers by
            their kind and position only, so it is needed to read one.

    Raises:
        WeightsUnavailable: The file is not a weights file.
    """
    if path.suffix in (".pth", ".pt"):
        return lite0_layers(torch_tensors(path))
    try:
        with h5py.File(path, "r") as file:
            entries = _keras3(file, model) if "layers" in file else _keras2(file)
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise WeightsUnavailable(f"{path} cannot be read as weights ({error}).", _FIX) from error
    if not entries:
        raise WeightsUnavailable(f"{path} holds no weights.", _FIX)
    return entries


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
