"""Convolutions as matrix products: the same sums, trained faster on a CPU.

A 1x1 convolution with stride 1 is the product of its input, seen as
`[B * H * W, channels]`, with its kernel.  TensorFlow's CPU kernels for the
gradients of a convolution do not know that; a matrix product's gradients are
matrix products again.

The gradient of a depthwise kernel is, on a small map, one product for each channel too:
of all places with all places, whose diagonals are then summed.  TensorFlow's kernel goes
along the rows of the map, and on a map hardly larger than the kernel these are all border.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = ["with_products"]

ONE = (1, 1)
FIVE = 5
"""Side of the smallest kernel whose gradient is slow."""
MOST_PLACES = 64
"""Of a map on which products of all places with all places are the faster way."""


class PointwiseProduct(keras.layers.Layer):
    """Computes what a 1x1 convolution does, with that convolution's own weights.

    Args:
        convolution: A built 1x1 convolution with stride 1, channels last.
    """

    def __init__(self, convolution: keras.layers.Conv2D) -> None:
        super().__init__(name=f"{convolution.name}_product")
        self.convolution = convolution

    def call(self, x: Any) -> Any:
        """From `[B, H, W, C]` to `[B, H, W, D]`."""
        channels = self.convolution.kernel.shape[2:]
        # Not `kernel[0, 0]`: the gradient of a slice fills a kernel with zeros first.
        kernel = ops.reshape(self.convolution.kernel, channels)
        flat = ops.matmul(ops.reshape(x, (-1, channels[0])), kernel)
        out = ops.reshape(flat, (-1, *x.shape[1:3], channels[1]))
        if self.convolution.use_bias:
            out = out + self.convolution.bias
        return self.convolution.activation(out)


class DepthwiseProduct(keras.layers.Layer):
    """Computes what a depthwise convolution does; the gradient of its kernel by products.

    Args:
        convolution: A built depthwise convolution of one output a channel, channels last,
            with stride 1, an odd kernel and its map's size kept.
    """

    def __init__(self, convolution: keras.layers.DepthwiseConv2D) -> None:
        super().__init__(name=f"{convolution.name}_product")
        self.convolution = convolution

    def call(self, x: Any) -> Any:
        """From `[B, H, W, C]` to `[B, H, W, C]`."""
        kernel = ops.convert_to_tensor(self.convolution.kernel)
        out = ops.custom_gradient(_depthwise)(x, kernel)
        if self.convolution.use_bias:
            out = out + self.convolution.bias
        return self.convolution.activation(out)


def with_products(model: keras.Model, shape: tuple[int, ...] | None = None) -> keras.Model:
    """The same functional model, on the same layers, that trains faster.

    Args:
        model: Functional and built; its variables are shared, not copied.
            What is trainable in it must be settled.
        shape: Of what it takes instead, such as a map with fewer places; its own by default.

    Returns:
        A model for training only; `model` is the one to save.
    """
    clone: keras.Model = keras.models.clone_model(
        model,
        input_tensors=None if shape is None else keras.Input(shape),
        clone_function=lambda layer: layer,
        call_function=_called,
    )
    return clone


def _called(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
    if _is_pointwise(layer):
        return PointwiseProduct(layer)(*args)
    if _is_depthwise(layer) and np.prod(args[0].shape[1:3]) <= MOST_PLACES:
        return DepthwiseProduct(layer)(*args)
    return layer(*args, **kwargs)


def _is_pointwise(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.kernel_size == ONE
        and layer.strides == ONE
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.DepthwiseConv2D
        and min(layer.kernel_size) >= FIVE
        and all(side % 2 for side in layer.kernel_size)
        and layer.strides == layer.dilation_rate == ONE
        and layer.depth_multiplier == 1
        and layer.padding == "same"
        and layer.data_format == "channels_last"
        and layer.trainable
    )


def _depthwise(x: Any, kernel: Any) -> tuple[Any, Callable[..., Any]]:
    """A depthwise convolution `[B, H, W, C]` with a kernel `[k, l, C, 1]`, and its gradients."""

    def gradient(*args: Any, upstream: Any = None) -> Any:
        slope = args[0] if upstream is None else upstream
        turned = ops.flip(kernel, (0, 1))
        below = ops.depthwise_conv(slope, turned, padding="same")
        return below, _kernel_gradient(x, slope, kernel.shape)

    return ops.depthwise_conv(x, kernel, padding="same"), gradient


def _kernel_gradient(x: Any, slope: Any, shape: tuple[int, ...]) -> Any:
    """Gradient `[k, l, C, 1]` from the input and the gradient of the output, `[B, H, W, C]`."""
    _, height, width, channels = x.shape
    places = height * width
    of_input = ops.reshape(ops.transpose(x, (3, 1, 2, 0)), (channels, places, -1))
    of_output = ops.reshape(ops.transpose(slope, (3, 0, 1, 2)), (channels, -1, places))
    pairs = ops.reshape(ops.matmul(of_input, of_output), (channels, places**2))
    summed = ops.matmul(pairs, _diagonals(height, width, *shape[:2]))
    return ops.reshape(ops.transpose(summed), shape)


def _diagonals(height: int, width: int, rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Which input place each kernel weight takes to each output place.

    Returns:
        float32 `[(H W)^2, k l]` of zeros and ones.
    """
    found = np.zeros((height, width, height, width, rows, columns), np.float32)
    for row, column in itertools.product(range(rows), range(columns)):
        down, across = row - rows // 2, column - columns // 2
        for y, x in itertools.product(range(height), range(width)):
            if 0 <= y + down < height and 0 <= x + across < width:
                found[y + down, x + across, y, x, row, column] = 1
    return found.reshape((height * width) ** 2, rows * columns)
