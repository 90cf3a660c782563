"""The backbones that can be asked for by name, as plain data (nothing heavy is imported)."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.errors import UsageError

SMALLEST_IMAGE = 32


@dataclass(frozen=True)
class BackboneSpec:
    """One entry of the catalogue.

    Attributes:
        name: What `--backbone` takes.
        width: Channels of the last feature map.
        default_unfreeze: Stage from which fine-tuning trains unless told otherwise.
        blocks: Stages from pixels to the last feature map.  The first is the stem;
            finer names inside a stage (`conv5_block2`, `block6b`) are known to the built model.
        family: Naming scheme of the layers: `resnet`, `mobilenet`, `efficientnet` or `tiny`.
        preprocessing: What the model does first to pixels 0..255; part of every feature's identity.
        image_size: Side of the square input the network was designed for, in pixels.
        source: Where the architecture comes from.
    """

    name: str
    width: int
    default_unfreeze: str
    blocks: tuple[str, ...]
    family: str
    preprocessing: str
    image_size: int
    source: str


_RESNET_STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5")
_MBCONV_STAGES = ("stem", *(f"block{number}" for number in range(1, 8)), "top")

CAFFE = "caffe: RGB to BGR, minus (103.939, 116.779, 123.68)"
UNIT_RANGE = "tf: x / 127.5 - 1"
EFFICIENTNET = "efficientnet: (x / 255 - mean) / std of ImageNet, inside the network"
LITE = "lite: (x - 127) / 128"


def _resnet(name: str, preprocessing: str, source: str) -> BackboneSpec:
    return BackboneSpec(name, 2048, "conv5", _RESNET_STAGES, "resnet", preprocessing, 224, source)


def _mbconv(
    name: str, width: int, size: int, family: str, preprocessing: str, source: str
) -> BackboneSpec:
    return BackboneSpec(name, width, "block6", _MBCONV_STAGES, family, preprocessing, size, source)


_HE = "keras.applications; He et al. 2015, Deep Residual Learning (arXiv:1512.03385)"
_HE_V2 = "keras.applications; He et al. 2016, Identity Mappings (arXiv:1603.05027)"
_SANDLER = "keras.applications; Sandler et al. 2018, MobileNetV2 (arXiv:1801.04381)"
_TAN = "keras.applications; Tan and Le 2019, EfficientNet (arXiv:1905.11946)"
_LITE = "EfficientNet-Lite0 of the TensorFlow TPU models (2020), after Tan and Le 2019"

CATALOGUE: dict[str, BackboneSpec] = {
    item.name: item
    for item in (
        _resnet("resnet50", CAFFE, _HE),
        _resnet("resnet101", CAFFE, _HE),
        _resnet("resnet50v2", UNIT_RANGE, _HE_V2),
        _resnet("resnet101v2", UNIT_RANGE, _HE_V2),
        _mbconv("mobilenet-v2", 1280, 224, "mobilenet", UNIT_RANGE, _SANDLER),
        _mbconv("efficientnet-b0", 1280, 224, "efficientnet", EFFICIENTNET, _TAN),
        _mbconv("efficientnet-b1", 1280, 240, "efficientnet", EFFICIENTNET, _TAN),
        _mbconv("efficientnet-b2", 1408, 260, "efficientnet", EFFICIENTNET, _TAN),
        _mbconv("efficientnet-b3", 1536, 300, "efficientnet", EFFICIENTNET, _TAN),
        _mbconv("efficientnet-lite0", 1280, 224, "efficientnet", LITE, _LITE),
        BackboneSpec(
            name="tiny",
            width=16,
            default_unfreeze="block3",
            blocks=("stem", "block1", "block2", "block3"),
            family="tiny",
            preprocessing=UNIT_RANGE,
            image_size=48,
            source="three small convolutions with random weights, for tests and dry runs",
        ),
    )
}


def names() -> list[str]:
    """Every backbone's name, in the order of the catalogue."""
    return list(CATALOGUE)


def spec(name: str) -> BackboneSpec:
    """The catalogue's entry called `name`.

    Raises:
        UsageError: There is none; the message lists those there are.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        raise UsageError(
            f"There is no backbone called {name!r}.", f"choose one of: {', '.join(names())}"
        ) from None
