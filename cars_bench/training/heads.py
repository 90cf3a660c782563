"""Heads built from their specs, of stock Keras layers only."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from keras import layers
from scipy.special import ndtr, ndtri

from cars_bench.training.answers import BOX_LAYER, EDGES, HEAD
from cars_bench.training.specs import HeadSpec

OUTPUT_LAYER = "logits"
MOST_SEEDS = 64
CUT = 2.0
CUT_DEVIATION = 0.87962566  # of a normal distribution cut there


def build_head(spec: HeadSpec, width: int, classes: int, seed: int = 0) -> keras.Model:
    """Build the head that `spec` describes.

    The output layer starts at zero, so the untrained loss is ln(classes).

    Args:
        spec: The head.
        width: Width of the pooled features.
        classes: Number of classes.
        seed: Seeds the initial kernels, the dropout and the noise.

    Returns:
        A model from features float32 `[B, width]` to logits float32 `[B, classes]`, and
        behind these the box where the head has one: `[B, classes + 4]`, see `answers`.
    """
    drawn = np.random.SeedSequence(seed).generate_state(MOST_SEEDS)
    seeds = (int(value) >> 1 for value in drawn)
    inputs = keras.Input((width,), name="features")
    x = _normalised(inputs, spec.normalisation)
    if spec.noise:
        x = layers.GaussianNoise(spec.noise, seed=next(seeds), name="noise")(x)
    if spec.dropout:
        x = layers.Dropout(spec.dropout, seed=next(seeds), name="features_dropout")(x)
    for index, layer in enumerate(spec.layers, 1):
        x = _dense(layer.units, f"dense{index}", spec.l2, not layer.batch_norm)(x)
        if layer.batch_norm:
            x = layers.BatchNormalization(momentum=0.9, name=f"dense{index}_bn")(x)
        x = layers.Activation(layer.activation, name=f"dense{index}_{layer.activation}")(x)
        if layer.dropout:
            x = layers.Dropout(layer.dropout, seed=next(seeds), name=f"dense{index}_dropout")(x)
    output = layers.Dense(
        classes,
        kernel_initializer="zeros",
        kernel_regularizer=_l2(spec.l2),
        dtype="float32",
        name=OUTPUT_LAYER,
    )
    model = keras.Model(inputs, _with_box(spec, output(x), x), name=HEAD)
    for index in range(1, len(spec.layers) + 1):
        kernel = model.get_layer(f"dense{index}").kernel
        kernel.assign(_he_normal(kernel.shape, next(seeds)))
    return model


def parameter_count(spec: HeadSpec, width: int, classes: int) -> int:
    """Trainable and moving parameters of the head, without building it."""
    norm_parameters = {"none": 0, "l2": 0, "batch": 4, "layer": 2}
    count = norm_parameters[spec.normalisation] * width
    below = width
    for layer in spec.layers:
        count += below * layer.units + (4 * layer.units if layer.batch_norm else layer.units)
        below = layer.units
    return count + (below + 1) * (classes + (EDGES if spec.box else 0))


def split_head(head: keras.Model) -> keras.Model:
    """The same head, on the same layers, with logits and box apart: `[B, C]` and `[B, 4]`."""
    parts = [head.get_layer(name).output for name in (OUTPUT_LAYER, BOX_LAYER)]
    return keras.Model(head.input, parts, name=HEAD)


def _with_box(spec: HeadSpec, logits: keras.KerasTensor, x: keras.KerasTensor) -> keras.KerasTensor:
    """The logits, and behind them a box where the head has one.

    A box is learnt as its size, a share of the view, and where it stands in the room that this
    leaves: so it always lies in the view, left of right and top above bottom.  It begins as
    the middle half of the picture.
    """
    if not spec.box:
        return logits
    place, size = (_box_part(spec, name)(x) for name in ("box_place", "box_size"))
    taken = layers.Multiply(dtype="float32", name="box_taken")([place, size])
    start = layers.Subtract(dtype="float32", name="box_start")([place, taken])
    end = layers.Add(dtype="float32", name="box_end")([start, size])
    box = layers.Concatenate(dtype="float32", name=BOX_LAYER)([start, end])
    return layers.Concatenate(dtype="float32", name="answers")([logits, box])


def _box_part(spec: HeadSpec, name: str) -> layers.Dense:
    """Two shares, across and down."""
    return layers.Dense(
        EDGES // 2,
        activation="sigmoid",
        kernel_initializer="zeros",
        kernel_regularizer=_l2(spec.l2),
        dtype="float32",
        name=name,
    )


def _dense(units: int, name: str, l2: float, use_bias: bool) -> layers.Dense:
    return layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer="zeros",  # until `_he_normal` is assigned
        kernel_regularizer=_l2(l2),
        name=name,
    )


def _he_normal(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """He et al. 2015, normal and cut at two deviations.

    Drawn in numpy, so that a seed means the same on every backend, and JAX
    need not compile a random generator for every new shape.
    """
    uniform = np.random.default_rng(seed).uniform(ndtr(-CUT), ndtr(CUT), shape)
    drawn = np.asarray(ndtri(uniform))
    return np.asarray(drawn * np.sqrt(2 / shape[0]) / CUT_DEVIATION, dtype=np.float32)


def _l2(l2: float) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L2(l2) if l2 else None


def _normalised(features: keras.KerasTensor, kind: str) -> keras.KerasTensor:
    if kind == "l2":
        # Unit vectors times sqrt(width): every feature keeps a variance near one.
        unit = layers.UnitNormalization(name="features_l2")(features)
        return layers.Rescaling(features.shape[-1] ** 0.5, name="features_scale")(unit)
    if kind == "batch":
        return layers.BatchNormalization(momentum=0.9, name="features_bn")(features)
    if kind == "layer":
        return layers.LayerNormalization(name="features_ln")(features)
    return features
