"""The one decode function: bytes of any common image format -> upright RGB pixels.

Extraction, live training, prediction and thumbnails all decode here, so they
see the same pixels.  Pillow rather than `tf.io`, because it works beside every
Keras backend, honours EXIF orientation and releases the GIL while it decodes.
"""

from __future__ import annotations

import functools
import importlib
import io
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from cars_bench.workspace import plain_bytes

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_within_limits` refuses instead

T = TypeVar("T")

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the upright original; x2 and y2 lie just outside."""

REDUCING_GAP = 3.0
RESIZE_METHOD = "pillow-bilinear-antialias-gap3"
"""Names the resize for the cache's key; change it whenever the pixels change."""

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")
"""All that is read: Pillow knows many more, some of which start other programs."""
MOST_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Of one picture; while it is decoded each takes three to ten bytes."""
MOST_BYTES = 1 << 30
"""Of one file."""

_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_LONGEST_FTYP = 64  # bytes
_ORIENTATION_TAG = 0x0112
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_SIDEWAYS = 5
_BYTE_MAX = 255
_WORD_MAX = 65535
_STRIP = 512  # rows
_WORD_TO_BYTE = 257


class ImageUnusable(ValueError):
    """The bytes are not an image that can be decoded; the message says why.

    Attributes:
        is_page: The bytes are a web page, so the image was never fetched.
    """

    def __init__(self, reason: str, is_page: bool = False) -> None:
        super().__init__(reason)
        self.is_page = is_page


def decode_image(source: Path | str | bytes) -> Image.Image:
    """Decode to upright 8-bit RGB.

    EXIF orientation is applied, 16-bit grey is scaled to 8 bits, an animation
    gives its first frame, and transparency is laid over white.

    Args:
        source: A path, or the encoded bytes.

    Returns:
        An image of mode RGB.

    Raises:
        ImageUnusable: Empty, truncated, a web page, too large, or no known format.
        OSError: The file cannot be read at all.
    """
    return _guarded(lambda: _upright_rgb(_opened(_bytes(source))))


def load_image(source: Path | str | bytes, size: int, box: Box | None = None) -> np.ndarray:
    """Decode, cut to `box` and squash to a square with an antialiased bilinear filter.

    Args:
        source: A path, or the encoded bytes.
        size: Side of the result in pixels.
        box: Region in pixels of the upright original; `None` takes all of it.

    Returns:
        uint8 [size, size, 3], RGB 0..255.

    Raises:
        ImageUnusable: See `decode_image`.
        OSError: The file cannot be read at all.
    """
    image, window = decode_near(source, size, box)
    part, inner = _cut(image, window)
    resized = part.resize(
        (size, size), Image.Resampling.BILINEAR, box=inner, reducing_gap=REDUCING_GAP
    )
    return np.asarray(resized)


def upright_size(source: Path | str | bytes) -> tuple[int, int]:
    """Width and height of the upright original in pixels; nothing is decoded.

    Raises:
        ImageUnusable: See `decode_image`.
    """
    return _guarded(lambda: _upright_size(_opened(_bytes(source))))


def _upright_size(opened: Image.Image) -> tuple[int, int]:
    width, height = opened.size
    return (height, width) if _orientation(opened) >= _FIRST_SIDEWAYS else (width, height)


def decode_near(
    source: Path | str | bytes, size: int, box: Box | None = None
) -> tuple[Image.Image, Box]:
    """Decode at a resolution that suffices for a `size`-pixel view of `box`.

    Large JPEG files are decoded at 1/2, 1/4 or 1/8 (never below `REDUCING_GAP`
    times the wanted resolution), which is several times faster.

    Returns:
        The RGB image, and `box` in its pixels.

    Raises:
        ImageUnusable: See `decode_image`.
    """
    return _guarded(lambda: _decode_near(_opened(_bytes(source)), size, box))


def _decode_near(opened: Image.Image, size: int, box: Box | None) -> tuple[Image.Image, Box]:
    sideways = _orientation(opened) >= _FIRST_SIDEWAYS
    width, height = _upright_size(opened)
    window = _clipped(box, width, height) if box else (0.0, 0.0, float(width), float(height))
    if opened.format == "JPEG":
        wanted = size * REDUCING_GAP
        across = math.ceil(width * wanted / (window[2] - window[0]))
        down = math.ceil(height * wanted / (window[3] - window[1]))
        opened.draft("RGB", (down, across) if sideways else (across, down))
    image = _upright_rgb(opened)
    x = image.width / width
    y = image.height / height
    right = min(window[2] * x, image.width)
    bottom = min(window[3] * y, image.height)
    return image, (window[0] * x, window[1] * y, right, bottom)


def _cut(image: Image.Image, window: Box) -> tuple[Image.Image, Box]:
    """The pixels around `window`, so that the filter sees nothing beyond, and it in them."""
    left = math.floor(window[0])
    top = math.floor(window[1])
    part = image.crop((left, top, math.ceil(window[2]), math.ceil(window[3])))
    return part, (window[0] - left, window[1] - top, window[2] - left, window[3] - top)


def _clipped(box: Box, width: int, height: int) -> Box:
    x1 = max(box[0], 0.0)
    y1 = max(box[1], 0.0)
    x2 = min(box[2], float(width))
    y2 = min(box[3], float(height))
    if x2 - x1 < 1 or y2 - y1 < 1:
        raise ImageUnusable(f"its box {box} lies outside its {width} x {height} pixels")
    return x1, y1, x2, y2


def _bytes(source: Path | str | bytes) -> bytes:
    return source if isinstance(source, bytes) else plain_bytes(source, MOST_BYTES)


def _opened(data: bytes) -> Image.Image:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not data:
        raise ImageUnusable("the file is empty")
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<!--")):
        raise ImageUnusable("it is an HTML page, not an image", is_page=True)
    if start.startswith(b"version https://git-lfs"):
        raise ImageUnusable("it is a Git LFS pointer, not the image itself")
    brand = _brand(data)
    if brand == "HEIC" and not _reads_heic():
        raise ImageUnusable(
            "it is a HEIC picture, which needs one more package: pip install 'cars-bench[heic]'"
        )
    if brand == "AVIF" and not features.check("avif"):
        raise ImageUnusable("it is an AVIF picture, which the Pillow installed here does not read")
    return _within_limits(Image.open(io.BytesIO(data), formats=_formats()))


def _within_limits(opened: Image.Image) -> Image.Image:
    """Refuse a picture before its pixels are decoded, if it has too many."""
    pixels = opened.width * opened.height
    if pixels > MOST_PIXELS:
        raise ImageUnusable(f"it has {pixels:,} pixels, and {MOST_PIXELS:,} are the most")
    return opened


def _formats() -> tuple[str, ...]:
    return FORMATS if _reads_heic() else FORMATS[:-1]


def _brand(data: bytes) -> str:
    """`HEIC` or `AVIF` where the bytes begin as such a file does (ISO 14496-12, `ftyp` box)."""
    if data[4:8] != b"ftyp":
        return ""
    brands = data[8 : min(int.from_bytes(data[:4]), _LONGEST_FTYP)]
    if any(brand in brands for brand in _AVIF):
        return "AVIF"
    return "HEIC" if brands[:4] in _HEIC else ""


@functools.cache
def _reads_heic() -> bool:
    """Teach Pillow to read HEIC, if the package that can is installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _guarded(decode: Callable[[], T]) -> T:
    """Turn the many exceptions of broken files into one with a plain reason."""
    try:
        return decode()
    except (ImageUnusable, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise ImageUnusable("it is not an image of a known format") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ImageUnusable(str(error) or "it cannot be decoded") from error
    except Exception as error:
        raise ImageUnusable(f"it cannot be decoded ({error})") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        return 1  # unreadable EXIF says nothing about orientation; the pixels still count


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    turn = _TRANSPOSED.get(_orientation(image))
    flat = _rgb(image)
    return flat.transpose(turn) if turn is not None else flat


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_words(image)
    if image.mode == "F":
        raise ImageUnusable("its pixels are floating-point numbers without a known range")
    if image.has_transparency_data:
        return _over_white(image)
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    """Transparency laid over white, a strip at a time as it takes four bytes a pixel, thrice."""
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP):
        bottom = min(top + _STRIP, image.height)
        layered = image.crop((0, top, image.width, bottom)).convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        flat.paste(Image.alpha_composite(white, layered).convert("RGB"), (0, top))
    return flat


def _from_words(image: Image.Image) -> Image.Image:
    """Grey of 16 bits (or more in mode I) to 8 bits by dividing by 257."""
    grey = np.asarray(cast(Any, image)).astype(np.int64)
    most = grey.max(initial=0)
    if grey.min(initial=0) < 0 or most > _WORD_MAX:
        raise ImageUnusable("its pixels are whole numbers outside 0 to 65,535, of unknown range")
    if most > _BYTE_MAX or image.mode != "I":
        grey = (grey + _WORD_TO_BYTE // 2) // _WORD_TO_BYTE
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
