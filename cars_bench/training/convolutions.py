"""Stages of convolutions below a dense head, of stock Keras layers only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import keras
from keras import layers

from cars_bench.training.specs import ConvStage

Shape = tuple[int, ...]

HALF = 2
MAP_POOL = "map_"
MAP_AXES = 3
"""Height, width and channels."""


@dataclass
class StageBuilder:
    """Builds stages one after another and remembers what is to be done with them.

    Attributes:
        penalty: Of every kernel; Keras shares it between layers.
        kernels: Names of the layers whose kernels are still to be drawn, in order.
    """

    penalty: keras.regularizers.Regularizer | None
    kernels: list[str] = field(default_factory=list)

    def stage(self, x: Any, spec: ConvStage, name: str, seed: int | None) -> Any:
        """One stage: its blocks, then pooling and dropout.

        Args:
            x: Map `[B, h, w, c]`.
            spec: The stage.
            name: Beginning of its layers' names.
            seed: Of the dropout, where the stage has one.

        Returns:
            Map `[B, h, w, filters]`, or half of that a side, rounded up.
        """
        for number in range(1, spec.blocks + 1):
            stride = HALF if number == 1 and spec.reduce == "stride" else 1
            block = self._residual if spec.residual else self._plain
            x = block(x, spec, f"{name}_block{number}", stride)
        if spec.reduce == "pool":
            x = layers.MaxPooling2D(HALF, padding="same", name=f"{name}_pool")(x)
        if spec.dropout:
            x = layers.Dropout(spec.dropout, seed=seed, name=f"{name}_dropout")(x)
        return x

    def _plain(self, x: Any, spec: ConvStage, name: str, stride: int) -> Any:
        return _activated(self._convolved(x, spec, f"{name}_conv", stride), spec, name)

    def _residual(self, x: Any, spec: ConvStage, name: str, stride: int) -> Any:
        """Two convolutions and a way around them (He et al. 2015, figure 2)."""
        y = self._convolved(x, spec, f"{name}_conv1", stride)
        y = _activated(y, spec, f"{name}_conv1")
        y = self._convolved(y, spec, f"{name}_conv2", 1)
        if stride > 1 or x.shape[-1] != spec.filters:
            x = self._convolved(x, replace(spec, kernel=1), f"{name}_shortcut", stride)
        return _activated(layers.Add(name=f"{name}_add")([x, y]), spec, name)

    def _convolved(self, x: Any, spec: ConvStage, name: str, stride: int) -> Any:
        if spec.kernel == 1 and stride > 1:
            # The places that it reads, taken beforehand: TensorFlow's oneDNN corrupts memory in
            # a 1x1 convolution with stride 2 of an RGB picture.
            x = layers.MaxPooling2D(1, stride, name=f"{name}_places")(x)
            stride = 1
        convolution = layers.Conv2D(
            spec.filters,
            spec.kernel,
            stride,
            padding="same",
            use_bias=not spec.batch_norm,
            kernel_initializer="zeros",  # until the head's kernels are drawn
            kernel_regularizer=self.penalty,
            name=name,
        )
        self.kernels.append(name)
        x = convolution(x)
        if not spec.batch_norm:
            return x
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)


def flattened(x: Any, pooling: str) -> Any:
    """A map `[B, h, w, c]` as features `[B, width]`, by one of `MAP_POOLINGS`."""
    kinds = {
        "avg": layers.GlobalAveragePooling2D,
        "max": layers.GlobalMaxPooling2D,
        "flatten": layers.Flatten,
    }
    return kinds[pooling](name=f"{MAP_POOL}{pooling}")(x)


def last_map(head: keras.Model) -> Any:
    """The map that becomes the features inside a head; `None` of a head on pooled features."""
    found = (layer.input for layer in head.layers if layer.name.startswith(MAP_POOL))
    return next(found, None)


def stage_parameters(stage: ConvStage, channels: int) -> int:
    """Trainable and moving parameters of a stage on a map of so many channels."""
    each = 4 if stage.batch_norm else 1  # batch norm: two trained, two moving; else a bias
    area = stage.kernel**2

    def convolution(below: int, cells: int = area) -> int:
        return (cells * below + each) * stage.filters

    if not stage.residual:
        return convolution(channels) + (stage.blocks - 1) * convolution(stage.filters)
    projected = channels != stage.filters or stage.reduce == "stride"
    first = convolution(channels) + (convolution(channels, 1) if projected else 0)
    return first + (2 * stage.blocks - 1) * convolution(stage.filters)


def stage_shape(stage: ConvStage, shape: Shape) -> Shape:
    """Height, width and channels of what a stage makes of a map."""
    sides = shape[:-1]
    if stage.reduce != "none":
        sides = tuple(-(-side // HALF) for side in sides)
    return (*sides, stage.filters)


def _activated(x: Any, spec: ConvStage, name: str) -> Any:
    return layers.Activation(spec.activation, name=f"{name}_{spec.activation}")(x)
