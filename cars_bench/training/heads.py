"""Heads built from their specs, of stock Keras layers only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers
from scipy.special import ndtr, ndtri

from cars_bench.errors import UsageError
from cars_bench.training.answers import BOX_LAYER, EDGES, HEAD
from cars_bench.training.convolutions import (
    MAP_AXES,
    Shape,
    StageBuilder,
    flattened,
    stage_parameters,
    stage_shape,
)
from cars_bench.training.specs import HeadSpec

OUTPUT_LAYER = "logits"
CUT = 2.0
CUT_DEVIATION = 0.87962566  # of a normal distribution cut there


def build_head(
    spec: HeadSpec, shape: Shape, classes: int, seed: int = 0, drawn_output: bool = False
) -> keras.Model:
    """Build the head that `spec` describes.

    The output layer starts at zero, so the untrained loss is ln(classes).

    Args:
        spec: The head.
        shape: Of what it takes: `(width,)` of pooled features, or height, width and
            channels of a map, which becomes features by the stages and `map_pooling`.
        classes: Number of classes.
        seed: Seeds the initial kernels, the dropout and the noise.
        drawn_output: The output layer's kernel is drawn as Keras draws it by itself (Glorot &
            Bengio 2010, uniform).

    Returns:
        A model from features float32 `[B, *shape]` to logits float32 `[B, classes]`, and
        behind these the box where the head has one: `[B, classes + 4]`, see `answers`.

    Raises:
        UsageError: Stages on pooled features.
    """
    require_map(spec, shape)
    seeds = _seeds(seed)
    inputs = keras.Input(tuple(shape), name="features")
    x, kernels = _features(inputs, spec, seeds)
    x = _normalised(x, spec.normalisation)
    if spec.noise:
        x = layers.GaussianNoise(spec.noise, seed=next(seeds), name="noise")(x)
    if spec.dropout:
        x = layers.Dropout(spec.dropout, seed=next(seeds), name="features_dropout")(x)
    for index, layer in enumerate(spec.layers, 1):
        x = _dense(layer.units, f"dense{index}", _hidden_penalty(spec), not layer.batch_norm)(x)
        if layer.batch_norm:
            x = layers.BatchNormalization(momentum=0.9, name=f"dense{index}_bn")(x)
        x = layers.Activation(layer.activation, name=f"dense{index}_{layer.activation}")(x)
        if layer.dropout:
            x = layers.Dropout(layer.dropout, seed=next(seeds), name=f"dense{index}_dropout")(x)
        kernels.append(f"dense{index}")
    output = layers.Dense(
        classes,
        kernel_initializer="zeros",
        kernel_regularizer=_penalty(spec),
        dtype="float32",
        name=OUTPUT_LAYER,
    )
    model = keras.Model(inputs, _with_box(spec, output(x), x), name=HEAD)
    for name in kernels:
        kernel = model.get_layer(name).kernel
        kernel.assign(_he_normal(kernel.shape, next(seeds)))
    if drawn_output:
        kernel = model.get_layer(OUTPUT_LAYER).kernel
        kernel.assign(_glorot_uniform(kernel.shape, next(seeds)))
    return model


def parameter_count(spec: HeadSpec, shape: Shape, classes: int) -> int:
    """Trainable and moving parameters of the head, without building it.

    Args:
        spec: The head.
        shape: As of `build_head`.
        classes: Number of classes.
    """
    count = 0
    for stage in spec.stages:
        count += stage_parameters(stage, shape[-1])
        shape = stage_shape(stage, shape)
    below = math.prod(shape) if spec.map_pooling == "flatten" else shape[-1]
    norm_parameters = {"none": 0, "l2": 0, "batch": 4, "layer": 2}
    count += norm_parameters[spec.normalisation] * below
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
        kernel_regularizer=_penalty(spec),
        dtype="float32",
        name=name,
    )


def require_map(spec: HeadSpec, shape: Shape) -> None:
    """Refuse stages where there is no map for them.

    Raises:
        UsageError: The head has stages, and what it takes is no map.
    """
    if spec.stages and len(shape) != MAP_AXES:
        raise UsageError(
            f"Convolutions need a map, and these features are pooled to {shape[-1]} numbers.",
            "cars-bench extract --backbone pixels, or --pooling none",
        )


def _seeds(seed: int) -> Iterator[int]:
    """As many as are asked for; the first ones do not depend on how many that is."""
    sequence = np.random.SeedSequence(seed)
    for count in itertools.count(1):
        yield int(sequence.generate_state(count)[-1]) >> 1


def _features(inputs: Any, spec: HeadSpec, seeds: Iterator[int]) -> tuple[Any, list[str]]:
    """Features `[B, width]`, and names of the layers below them whose kernels are to be drawn."""
    if len(inputs.shape) != 1 + MAP_AXES:
        return inputs, []
    builder = StageBuilder(_hidden_penalty(spec))
    x = inputs
    for number, stage in enumerate(spec.stages, 1):
        x = builder.stage(x, stage, f"stage{number}", next(seeds) if stage.dropout else None)
    return flattened(x, spec.map_pooling), builder.kernels


def _dense(
    units: int, name: str, penalty: keras.regularizers.Regularizer | None, use_bias: bool
) -> layers.Dense:
    return layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer="zeros",  # until `_he_normal` is assigned
        kernel_regularizer=penalty,
        name=name,
    )


def _glorot_uniform(shape: tuple[int, int], seed: int) -> npt.NDArray[np.float32]:
    """Glorot & Bengio 2010, uniform."""
    bound = math.sqrt(6.0 / sum(shape))
    return np.random.default_rng(seed).uniform(-bound, bound, shape).astype(np.float32)


def _he_normal(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """He et al. 2015, normal and cut at two deviations; fan-in is all axes but the last.

    Drawn in numpy, so that a seed means the same on every backend, and JAX
    need not compile a random generator for every new shape.
    """
    uniform = np.random.default_rng(seed).uniform(ndtr(-CUT), ndtr(CUT), shape)
    drawn = np.asarray(ndtri(uniform))
    return np.asarray(drawn * np.sqrt(2 / math.prod(shape[:-1])) / CUT_DEVIATION, dtype=np.float32)


def _hidden_penalty(spec: HeadSpec) -> keras.regularizers.Regularizer | None:
    return _penalty(spec) if spec.penalised == "all" else None


def _penalty(spec: HeadSpec) -> keras.regularizers.Regularizer | None:
    if spec.l1:
        return keras.regularizers.L1L2(spec.l1, spec.l2)
    return keras.regularizers.L2(spec.l2) if spec.l2 else None


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
