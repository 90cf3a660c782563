"""Weights of a backbone: random ones, ImageNet's, or a file's; loaded with proof."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from cars_bench.backbones.catalogue import BackboneSpec
from cars_bench.backbones.weight_files import LayerWeights, imagenet_file
from cars_bench.errors import WeightsUnavailable

SEED = 0
_ADVICE = "give a weights file with --weights PATH, or use --backbone efficientnet-lite0"


def find_weights(spec: BackboneSpec, weights: str) -> Path | None:
    """Where the weights lie, found before anything is built, so that a failure comes at once.

    Args:
        spec: Row of the catalogue.
        weights: `none` (random, the same every time), `imagenet`, or a path.

    Returns:
        Their file; `None` for random ones, or where nothing has weights.

    Raises:
        WeightsUnavailable: They cannot be had.
    """
    if weights == "none" or not spec.is_network:
        return None
    path = imagenet_file(spec) if weights == "imagenet" else Path(weights).expanduser()
    if not path.is_file():
        raise WeightsUnavailable(f"There is no weights file {path}.", _ADVICE)
    return path


def randomise(model: keras.Model, gain: float, seed: int = SEED) -> None:
    """Draw every kernel anew, the same on every backend and machine.

    Kernels are normal with variance gain / fan-in (`BackboneSpec.random_gain`).
    Biases and BatchNorm keep their initial values.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    for layer in model.layers:
        for weight in layer.weights:
            if len(weight.shape) > 1:
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                fan_in = math.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
                values = generator.standard_normal(tuple(weight.shape), np.float32)
                weight.assign(values * np.float32(math.sqrt(gain / fan_in)))


def assign(model: keras.Model, entries: Sequence[LayerWeights], source: str) -> None:
    """Put `entries` into `model`, all of them and nothing else.

    Layers are matched by name when the names are the same, else by position.

    Args:
        model: The network.
        entries: One item per layer that has weights.
        source: Where they come from, for the message.

    Raises:
        WeightsUnavailable: A count, a shape or a value is wrong; names the first
            mismatch.  Nothing has been assigned then.
    """
    layers = [layer for layer in model.layers if layer.weights]
    problem = _mismatch(layers, _matched(layers, entries))
    if problem:
        raise WeightsUnavailable(
            f"{source} does not hold the weights of {model.name}: {problem}.", _ADVICE
        )
    for layer, entry in zip(layers, _matched(layers, entries), strict=True):
        layer.set_weights(list(entry.arrays))
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights


def weights_digest(model: keras.Model) -> str:
    """SHA-256 over every weight's shape, dtype and bytes, in the order of the layers.

    Independent of names and counters, of the backend and of the image size.
    """
    digest = hashlib.sha256()
    for layer in model.layers:
        for weight in layer.weights:
            array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _matched(
    layers: Sequence[keras.layers.Layer], entries: Sequence[LayerWeights]
) -> list[LayerWeights]:
    by_name = {entry.layer: entry for entry in entries}
    if len(by_name) == len(entries) and by_name.keys() == {layer.name for layer in layers}:
        return [by_name[layer.name] for layer in layers]
    return list(entries)


def _mismatch(layers: Sequence[keras.layers.Layer], entries: Sequence[LayerWeights]) -> str:
    """The first thing that does not fit, or an empty string."""
    for layer, entry in zip(layers, entries, strict=False):
        expected = [tuple(weight.shape) for weight in layer.weights]
        found = [tuple(array.shape) for array in entry.arrays]
        if expected != found:
            return f"layer {layer.name} needs {expected}, {entry.layer!r} has {found}"
        if not all(np.isfinite(array).all() for array in entry.arrays):
            return f"layer {entry.layer!r} holds values that are not finite"
        if any(array.ndim > 1 and np.ptp(array) == 0 for array in entry.arrays):
            return f"the kernel of layer {entry.layer!r} is one value repeated, so never trained"
    if len(layers) != len(entries):
        return f"it has {len(entries)} layers with weights, the network {len(layers)}"
    return ""
