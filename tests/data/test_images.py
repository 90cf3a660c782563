"""The decode function: what is accepted, how it is turned upright, what is refused and why."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from cars_bench.data import images
from cars_bench.data.images import ImageUnusable, decode_image, load_image

ORIENTATION = 0x0112


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def halves(width=40, height=20) -> Image.Image:
    """Left half red, right half blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0], pixels[:, width // 2 :, 2] = 255, 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "RGB"])
def test_every_mode_becomes_rgb(mode):
    kind = {"CMYK": "TIFF", "YCbCr": "JPEG"}.get(mode, "PNG")
    decoded = decode_image(encoded(halves().convert(mode), kind))
    assert (decoded.mode, decoded.size) == ("RGB", (40, 20))


@pytest.mark.parametrize("word", [0, 257, 128 * 257, 65535])
def test_sixteen_bit_grey_is_scaled_not_cut(word):
    data = encoded(Image.fromarray(np.full((4, 4), word, np.uint16)), "PNG")
    assert np.asarray(decode_image(data)).max() == word // 257


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode_image(encoded(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_tall_picture_lies_over_white_as_a_whole(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (1100, 3, 4), dtype=np.uint8)
    clear = Image.fromarray(pixels).convert("LA" if mode == "LA" else "RGBA")
    if mode == "P":
        clear = clear.quantize(16)
    data = encoded(clear, "PNG")
    layered = Image.open(io.BytesIO(data)).convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    whole = Image.alpha_composite(white, layered).convert("RGB")
    np.testing.assert_array_equal(decode_image(data), whole)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(data).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    decoded = decode_image(encoded(halves(), "PNG", exif=exif))
    red = {1: (5, 10), 2: (35, 10), 3: (35, 10), 4: (5, 10), 5: (10, 5), 6: (10, 5),
           7: (10, 35), 8: (10, 35)}[orientation]  # fmt: skip
    assert decoded.size == ((40, 20) if orientation < 5 else (20, 40))
    assert decoded.getpixel(red) == (255, 0, 0)


JPEG = encoded(halves(64, 64), "JPEG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"  <!DOCTYPE html><html></html>", "HTML"),
        (b"\xef\xbb\xbf<html><body>404</body></html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"hello", "known format"),
        (JPEG[:-2], "truncated"),
        (JPEG[: len(JPEG) // 2], "(?i)truncated"),
        (encoded(halves(), "PNG")[:60], "."),
        (encoded(Image.new("F", (3, 3)), "TIFF"), "floating-point"),
        (encoded(Image.new("I", (3, 3), 70_000), "TIFF"), "outside 0 to 65,535"),
        (encoded(Image.new("I", (3, 3), -1), "TIFF"), "outside 0 to 65,535"),
        (encoded(halves(), "EPS"), "known format"),
        (encoded(halves(), "TGA"), "known format"),
    ],
)
def test_broken_files_are_refused_with_the_reason(data, reason):
    with pytest.raises(ImageUnusable, match=reason):
        decode_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "MPO"])
def test_the_formats_of_pictures_are_read(kind):
    assert decode_image(encoded(halves(), kind)).size == (40, 20)


@pytest.mark.parametrize("side", [9500, 60_000])
def test_too_many_pixels_are_refused_before_any_is_decoded(side):
    data = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    data[18:26] = np.array([side, side], "<i4").tobytes()
    with pytest.raises(ImageUnusable, match="pixels"):
        decode_image(bytes(data))


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path):
    with (tmp_path / "x.jpg").open("wb") as stream:
        stream.truncate(images.MOST_BYTES + 1)
    with pytest.raises(OSError, match="larger than 1,024 MiB"):
        decode_image(tmp_path / "x.jpg")


def test_avif_is_read_like_any_other():
    assert decode_image(encoded(halves(), "AVIF", quality=100)).size == (40, 20)


def test_an_avif_that_cannot_be_read_is_named_for_what_it_is(monkeypatch):
    data = encoded(halves(), "AVIF")
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    with pytest.raises(ImageUnusable, match="AVIF"):
        decode_image(data)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def test_a_heic_picture_without_its_package_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    images._reads_heic.cache_clear()
    with pytest.raises(ImageUnusable, match=r"HEIC.*pip install 'cars-bench\[heic\]'"):
        decode_image(HEIC)
    images._reads_heic.cache_clear()


def test_a_heic_picture_is_read_where_its_package_is():
    heif = pytest.importorskip("pillow_heif")
    images._reads_heic.cache_clear()
    heif.register_heif_opener()
    assert decode_image(encoded(halves(64, 64), "HEIF", quality=90)).size == (64, 64)


def test_a_missing_file_is_another_matter(tmp_path):
    with pytest.raises(FileNotFoundError):
        decode_image(tmp_path / "none.jpg")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(JPEG) - 1), st.integers(0, 255))
def test_a_flipped_byte_decodes_or_is_refused(position, value):
    data = JPEG[:position] + bytes([value]) + JPEG[position + 1 :]
    with contextlib.suppress(ImageUnusable):
        assert decode_image(data).mode == "RGB"


def test_load_squashes_to_a_square():
    pixels = load_image(encoded(halves(), "PNG"), 8)
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)
    assert pixels[:, 0].tolist() == [[255, 0, 0]] * 8


def test_load_cuts_to_the_box_of_the_upright_image():
    pixels = load_image(encoded(halves(), "PNG"), 8, (20, 0, 40, 20))
    assert (pixels == [0, 0, 255]).all()


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_decoded_small_shows_the_same(orientation):
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    large = coarse.resize((1600, 1200), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    box = (100, 200, 900, 1000)
    small = load_image(encoded(large, "JPEG", quality=95, exif=exif), 32, box)
    plain = load_image(encoded(large, "PNG", exif=exif), 32, box)
    assert np.abs(small.astype(int) - plain.astype(int)).mean() < 2


def test_a_box_outside_its_image_is_refused():
    with pytest.raises(ImageUnusable, match="outside"):
        load_image(encoded(halves(), "PNG"), 8, (50, 0, 60, 20))
