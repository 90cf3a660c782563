"""Where a model looked: Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from cars_bench.data.images import load_image
from cars_bench.errors import UsageError
from cars_bench.finetune.assemble import Assembled
from cars_bench.workspace import atomic_path

OPACITY = 0.45

Floats = npt.NDArray[np.float32]


def grad_cam(assembled: Assembled, pixels: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """What speaks for the answer: the last feature map weighted by the logit's mean gradient.

    Args:
        assembled: A model on the TensorFlow backend.
        pixels: float32 `[B, S, S, 3]`, 0 to 255.

    Returns:
        float32 `[B, h, w]`, 0 to 1, and the labels int64 `[B]` answered.

    Raises:
        UsageError: Keras runs on another backend.
    """
    if keras.backend.backend() != "tensorflow":
        raise UsageError("Heatmaps need the TensorFlow backend.", "KERAS_BACKEND=tensorflow")
    import tensorflow as tf

    feature_map = assembled.backbone.model(pixels, training=False)
    last = assembled.backbone.blocks.blocks[-1].name
    with tf.GradientTape() as tape:
        tape.watch(feature_map)
        logits = assembled.above(last)(feature_map, training=False)
        answered = tf.argmax(logits, axis=1)
        chosen = tf.gather(logits, answered, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, feature_map), axis=(1, 2), keepdims=True)
    heat = np.maximum(np.asarray(tf.reduce_sum(weights * feature_map, axis=-1)), 0.0)
    top = heat.max(axis=(1, 2), keepdims=True)
    return (heat / np.maximum(top, 1e-12)).astype(np.float32), np.asarray(answered)


def write_heatmaps(
    folder: Path, assembled: Assembled, names: Sequence[str], paths: Sequence[Path]
) -> list[Path]:
    """Lay each image's heat over it and write it as `NAME.png` under `folder`."""
    size, written = assembled.backbone.image_size, []
    for name, path in zip(names, paths, strict=True):
        pixels = load_image(path, size)
        heat, _ = grad_cam(assembled, pixels[None].astype(np.float32))
        target = folder / f"{name}.png"
        with atomic_path(target) as temporary:
            _overlaid(pixels, heat[0]).save(temporary)
        written.append(target)
    return written


def _overlaid(pixels: npt.NDArray[Any], heat: Floats) -> Image.Image:
    """Hot is red, cold is blue, where nothing speaks for the answer the image stays as it is."""
    small = Image.fromarray((heat * 255).astype(np.uint8))
    wide = np.asarray(small.resize(pixels.shape[1::-1], Image.Resampling.BICUBIC), np.float32) / 255
    colour = np.stack([wide, 0.4 * (1 - np.abs(2 * wide - 1)), 1 - wide], axis=-1) * 255
    share = OPACITY * wide[..., None]
    return Image.fromarray(((1 - share) * pixels + share * colour).round().astype(np.uint8))
