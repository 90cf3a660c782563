"""The networks as Keras graphs: pixels 0..255 RGB in, last feature map out, no top.

Each begins with its own preprocessing made of stock Keras parts, so a saved
model carries it and loads in plain Keras.
"""

from __future__ import annotations

import functools
import math
import pkgutil
from typing import Any

import keras
from keras import layers

from cars_bench.backbones.catalogue import UNPOOLED, BackboneSpec, Preprocessing, check_pooling

# repeats, output channels, kernel, stride, expansion (Tan and Le 2019, table 1)
LITE_STAGES = (
    (1, 16, 3, 1, 1),
    (2, 24, 3, 2, 6),
    (2, 40, 5, 2, 6),
    (3, 80, 3, 2, 6),
    (3, 112, 5, 1, 6),
    (4, 192, 5, 2, 6),
    (1, 320, 3, 1, 6),
)


def build_network(spec: BackboneSpec, image_size: int) -> keras.Model:
    """Build `spec`'s network with fresh weights.

    Args:
        spec: Row of the catalogue.
        image_size: Side of the square input in pixels.

    Returns:
        Model from float32 [B, S, S, 3] in 0..255 to float32 [B, h, w, width].
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    inner = preprocessed(pixels, spec.preprocessing)
    build = pkgutil.resolve_name(spec.builder)
    if spec.builder.startswith("keras.applications:"):
        output = build(include_top=False, weights=None, input_tensor=inner).output
    else:
        output = build(inner)
    return keras.Model(pixels, output, name=spec.name.replace("-", "_"))


def preprocessed(pixels: Any, preprocessing: Preprocessing) -> Any:
    """Preprocess symbolic pixels [B, S, S, 3] (0..255, RGB) as `preprocessing` says."""
    scale = _numbers(preprocessing.scale)
    offset = _numbers(preprocessing.offset)
    x = layers.Rescaling(scale, offset=offset, name=preprocessing.layer)(pixels)
    return keras.ops.flip(x, axis=-1) if preprocessing.reversed_channels else x


def pooled(feature_map: Any, pooling: str) -> Any:
    """Pool a feature map over its positions, to one vector an image.

    Args:
        feature_map: [B, h, w, C], symbolic or an array.
        pooling: `avg`, `max`, `avgmax` (both, average first), or `none`.

    Returns:
        [B, C], or [B, 2 C] for `avgmax`; for `none` the map as it is.

    Raises:
        UsageError: Unknown pooling.
    """
    check_pooling(pooling)
    if pooling == UNPOOLED:
        return feature_map
    parts = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    if pooling != "avgmax":
        return parts[pooling](name=f"pool_{pooling}")(feature_map)
    both = [part(name=f"pool_{name}")(feature_map) for name, part in parts.items()]
    return layers.Concatenate(name="pool_avgmax")(both)


def _numbers(value: float | tuple[float, ...]) -> float | list[float]:
    """As Keras stores it in a saved model."""
    return list(value) if isinstance(value, tuple) else value


def _lite(pixels: Any, width: float, depth: float) -> Any:
    """EfficientNet-Lite: B0 to B2 without squeeze-and-excitation, ReLU6 throughout.

    As in the TensorFlow TPU models (2020) stem and top are not scaled, nor are the repeats of the
    first and the last stage.

    Args:
        pixels: Preprocessed, [B, S, S, 3].
        width: Factor of the channels.
        depth: Factor of the repeats.
    """
    x = _conv_bn(pixels, 32, 3, 2, "stem_")
    for stage, (repeats, channels, kernel, stride, expansion) in enumerate(LITE_STAGES, 1):
        inner = 1 < stage < len(LITE_STAGES)
        for index in range(math.ceil(repeats * depth) if inner else repeats):
            name = f"block{stage}{chr(ord('a') + index)}_"
            step = stride if index == 0 else 1
            x = _mbconv(x, _scaled(channels, width), kernel, step, expansion, name)
    return _conv_bn(x, 1280, 1, 1, "top_")


def _scaled(channels: int, width: float) -> int:
    """To the nearest multiple of 8 that is not more than a tenth below (Tan and Le 2019)."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


lite0 = functools.partial(_lite, width=1.0, depth=1.0)
lite1 = functools.partial(_lite, width=1.0, depth=1.1)
lite2 = functools.partial(_lite, width=1.1, depth=1.2)


def _mbconv(x: Any, channels: int, kernel: int, stride: int, expansion: int, name: str) -> Any:
    """Inverted residual block (Sandler et al. 2018) without squeeze-and-excitation."""
    width = x.shape[-1]
    y = x if expansion == 1 else _conv_bn(x, width * expansion, 1, 1, name + "expand_")
    y = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=name + "dwconv"
    )(y)
    y = layers.BatchNormalization(epsilon=1e-3, name=name + "bn")(y)
    y = layers.ReLU(6.0, name=name + "activation")(y)
    y = _conv_bn(y, channels, 1, 1, name + "project_", active=False)
    if stride == 1 and width == channels:
        y = layers.Add(name=name + "add")([y, x])
    return y


def _conv_bn(
    x: Any, channels: int, kernel: int, stride: int, name: str, active: bool = True
) -> Any:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name + "conv")(
        x
    )
    x = layers.BatchNormalization(epsilon=1e-3, name=name + "bn")(x)
    return layers.ReLU(6.0, name=name + "activation")(x) if active else x


def tiny(pixels: Any) -> Any:
    """Three strided 3x3 convolutions with BatchNorm: a backbone that costs nothing."""
    x = pixels
    for number, channels in enumerate((8, 12, 16), 1):
        x = _conv_bn(x, channels, 3, 2, f"block{number}_")
    return x


def picture(pixels: Any) -> Any:
    """No network: the preprocessed picture is the map."""
    return pixels
