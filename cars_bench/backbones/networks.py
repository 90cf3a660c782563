"""The networks as Keras graphs: pixels 0..255 RGB in, last feature map out, no top.

Each begins with its own preprocessing made of stock Keras parts, so a saved
model carries it and loads in plain Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from cars_bench.backbones.catalogue import CAFFE, EFFICIENTNET, UNIT_RANGE, BackboneSpec

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

_CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def build_network(spec: BackboneSpec, image_size: int) -> keras.Model:
    """Build `spec`'s network with fresh weights.

    Args:
        spec: Entry of the catalogue.
        image_size: Side of the square input in pixels.

    Returns:
        Model from float32 [B, S, S, 3] in 0..255 to float32 [B, h, w, width].
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    if spec.name in _OWN_NETWORKS:
        return keras.Model(pixels, _OWN_NETWORKS[spec.name](pixels), name=_model_name(spec))
    builder = getattr(keras.applications, _APPLICATIONS[spec.name])
    inner = preprocessed(pixels, spec.preprocessing)
    network = builder(include_top=False, weights=None, input_tensor=inner)
    return keras.Model(pixels, network.output, name=_model_name(spec))


def preprocessed(pixels: Any, preprocessing: str) -> Any:
    """Preprocess symbolic pixels [B, S, S, 3] (0..255, RGB) as `preprocessing` says."""
    if preprocessing == CAFFE:
        offset = [-mean for mean in _CAFFE_MEAN_RGB]
        centred = layers.Rescaling(1.0, offset=offset, name="preprocess_centre")(pixels)
        return keras.ops.flip(centred, axis=-1)
    if preprocessing == UNIT_RANGE:
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess_scale")(pixels)
    if preprocessing == EFFICIENTNET:
        return _efficientnet_contrast(pixels)
    return layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocess_scale")(pixels)


def _efficientnet_contrast(pixels: Any) -> Any:
    """Stretch the contrast so that ImageNet weights see what they were trained on.

    The network's own Normalization divides by sqrt(std) only; keras.applications
    adds a second division by sqrt(std) when `weights="imagenet"` and leaves it
    out for a weights file.  Doing it here makes both the same.
    """
    scale = [std**-0.5 for std in _IMAGENET_STD]
    offset = [255 * mean * (1 - factor) for mean, factor in zip(_IMAGENET_MEAN, scale, strict=True)]
    return layers.Rescaling(scale, offset=offset, name="preprocess_contrast")(pixels)


def _lite0(pixels: Any) -> Any:
    """EfficientNet-Lite0: B0 without squeeze-and-excitation, ReLU6 throughout."""
    x = preprocessed(pixels, "lite")
    x = _conv_bn(x, 32, 3, 2, "stem_conv", "stem_bn", "stem_activation")
    for stage, (repeats, channels, kernel, stride, expansion) in enumerate(LITE_STAGES, 1):
        for index in range(repeats):
            name = f"block{stage}{chr(ord('a') + index)}_"
            x = _mbconv(x, channels, kernel, stride if index == 0 else 1, expansion, name)
    return _conv_bn(x, 1280, 1, 1, "top_conv", "top_bn", "top_activation")


def _mbconv(x: Any, channels: int, kernel: int, stride: int, expansion: int, name: str) -> Any:
    """Inverted residual block (Sandler et al. 2018) without squeeze-and-excitation."""
    width, y = x.shape[-1], x
    if expansion != 1:
        y = _conv_bn(
            y,
            width * expansion,
            1,
            1,
            name + "expand_conv",
            name + "expand_bn",
            name + "expand_activation",
        )
    y = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=name + "dwconv"
    )(y)
    y = layers.BatchNormalization(epsilon=1e-3, name=name + "bn")(y)
    y = layers.ReLU(6.0, name=name + "activation")(y)
    y = _conv_bn(y, channels, 1, 1, name + "project_conv", name + "project_bn")
    if stride == 1 and width == channels:
        y = layers.Add(name=name + "add")([y, x])
    return y


def _conv_bn(
    x: Any, channels: int, kernel: int, stride: int, conv: str, norm: str, activation: str = ""
) -> Any:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=conv)(x)
    x = layers.BatchNormalization(epsilon=1e-3, name=norm)(x)
    return layers.ReLU(6.0, name=activation)(x) if activation else x


def _tiny(pixels: Any) -> Any:
    """Three strided 3x3 convolutions with BatchNorm: a backbone that costs nothing."""
    x = preprocessed(pixels, UNIT_RANGE)
    for number, channels in enumerate((8, 12, 16), 1):
        name = f"block{number}_"
        x = _conv_bn(x, channels, 3, 2, name + "conv", name + "bn", name + "activation")
    return x


def _model_name(spec: BackboneSpec) -> str:
    return spec.name.replace("-", "_")


_OWN_NETWORKS: dict[str, Callable[[Any], Any]] = {"efficientnet-lite0": _lite0, "tiny": _tiny}
_APPLICATIONS = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet50v2": "ResNet50V2",
    "resnet101v2": "ResNet101V2",
    "mobilenet-v2": "MobileNetV2",
    "efficientnet-b0": "EfficientNetB0",
    "efficientnet-b1": "EfficientNetB1",
    "efficientnet-b2": "EfficientNetB2",
    "efficientnet-b3": "EfficientNetB3",
}
