"""Views: each is a function of (seed, image_id, view) alone, of the very file that was prepared."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from cars_bench.data.dataset import Dataset, ImageRecord
from cars_bench.data.images import load_image
from cars_bench.data.pixels import (
    LiveImages,
    View,
    augmented_image,
    box_in_view,
    prepared_bytes,
    prepared_view,
)
from cars_bench.data.policies import NAMED, Policy, policy
from cars_bench.errors import InputError


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    path = tmp_path / "photo.png"
    coarse.resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


BOX = (10.0, 20.0, 150.0, 110.0)


@pytest.mark.parametrize("box", [None, BOX])
def test_view_zero_is_the_plain_image(photo, box):
    plain = augmented_image(photo, 32, box, View(policy("default"), 0, "a", 0))
    assert np.array_equal(plain, load_image(photo, 32, box))


@pytest.mark.parametrize("box", [None, BOX])
def test_a_policy_of_nothing_gives_the_plain_image(photo, box):
    view = augmented_image(photo, 32, box, View(policy("none"), 0, "a", 1))
    difference = np.abs(view.astype(int) - load_image(photo, 32, box))
    assert difference.max() <= 1


def test_a_view_is_reproducible_and_each_part_of_its_name_matters(photo):
    def view(seed, image_id, number):
        return augmented_image(photo, 32, None, View(policy("default"), seed, image_id, number))

    same = view(0, "a", 1)
    assert (same.shape, same.dtype) == ((32, 32, 3), np.uint8)
    assert np.array_equal(same, view(0, "a", 1))
    for other in (view(1, "a", 1), view(0, "b", 1), view(0, "a", 2)):
        assert not np.array_equal(same, other)


def test_a_flip_mirrors_half_of_the_views(photo):
    flip = Policy("flip", flip=True)
    plain = load_image(photo, 32).astype(int)
    mirrored = 0
    for view in range(1, 41):
        pixels = augmented_image(photo, 32, None, View(flip, 0, "a", view)).astype(int)
        straight, turned = np.abs(pixels - plain).max(), np.abs(pixels - plain[:, ::-1]).max()
        assert min(straight, turned) <= 1
        mirrored += turned < straight
    assert 10 <= mirrored <= 30


@pytest.mark.parametrize(
    "part",
    [
        {"scale_min": 0.5},
        {"rotation_degrees": 30.0},
        {"translation": 0.3},
        {"brightness": 0.5},
        {"contrast": 0.5},
    ],
)
def test_each_part_changes_pixels_and_leaves_no_black_border(photo, part):
    strong = dataclasses.replace(policy("none"), **part)
    plain = load_image(photo, 32)
    for view in range(1, 6):
        pixels = augmented_image(photo, 32, None, View(strong, 0, "a", view))
        assert np.abs(pixels.astype(int) - plain).mean() > 0.5
        if "brightness" not in part and "contrast" not in part:
            assert pixels.max(axis=2).min() > 0


def test_rotation_keeps_a_disc_in_the_middle(tmp_path):
    image = Image.new("RGB", (200, 100), "white")
    ImageDraw.Draw(image).ellipse((90, 40, 110, 60), fill="black")
    image.save(tmp_path / "disc.png")
    turned = Policy("turned", rotation_degrees=40.0)
    for view in range(1, 5):
        pixels = augmented_image(tmp_path / "disc.png", 50, None, View(turned, 0, "a", view))
        dark = np.argwhere(pixels[..., 0] < 128)
        assert np.abs(dark.mean(axis=0) - 24.5).max() < 1


def _record(path, **changes):
    fields = {
        "image_id": "a",
        "path": path,
        "label": 0,
        "box": None,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    return ImageRecord(**fields | changes)


def test_a_prepared_image_is_seen_as_it_was_prepared(photo):
    record = _record(photo, box=BOX)
    assert prepared_bytes(record) == photo.read_bytes()
    assert np.array_equal(prepared_view(record, 32), load_image(photo, 32, BOX))
    view = augmented_image(photo, 32, BOX, View(policy("default"), 3, "a", 2))
    assert np.array_equal(prepared_view(record, 32, policy("default"), 3, 2), view)


def test_a_file_that_is_not_the_prepared_one_is_named(photo):
    with pytest.raises(InputError, match=r"photo\.png has changed since it was prepared"):
        prepared_bytes(_record(photo, sha256="0" * 64))


def test_a_file_that_is_gone_is_named(photo):
    record = _record(photo)
    photo.unlink()
    with pytest.raises(InputError, match=r"photo\.png cannot be read") as caught:
        prepared_view(record, 32)
    assert "prepare" in caught.value.fix


def test_a_file_that_does_not_decode_is_named(photo):
    photo.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"photo\.png is unusable"):
        prepared_view(_record(photo), 32)


def test_images_are_indexed_like_stored_activations(tiny_dataset: Dataset) -> None:
    records = tiny_dataset.records("val")
    images = LiveImages(records, 32, NAMED["light"], seed=1, views=5)
    assert images.shape == (12, 5, 32, 32, 3)
    assert images.dtype == np.uint8
    batch = images[np.array([0, 0, 3]), np.array([0, 4, 0])]
    assert batch.shape == (3, 32, 32, 3)
    assert batch.dtype == np.uint8
    assert not np.array_equal(batch[0], batch[1])


def test_a_view_depends_on_seed_image_and_number_alone(tiny_dataset: Dataset) -> None:
    records = tiny_dataset.records("val")
    one, again, other = (
        LiveImages(records, 32, NAMED["light"], seed=seed, views=9)[np.array([2]), np.array([7])]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_file_that_changed_is_named(tiny_dataset: Dataset) -> None:
    record = tiny_dataset.records("val")[0]
    images = LiveImages([replace(record, sha256="0" * 64)], 32)
    with pytest.raises(InputError, match=record.path.name):
        images[np.array([0]), np.array([0])]


SHAPES = st.sampled_from([(300, 200), (200, 300), (240, 240), (600, 400)])
SEEN = 256
BLUR = 0.03  # of the view's side: the sharp corner of a turned box fades over a few pixels
QUARTER = Policy("quarter", flip=True, rotation_degrees=90.0, scale_min=0.5)


def _drawn_box(sides, box):
    """A picture of a red rectangle on grey."""
    stream = io.BytesIO()
    image = Image.new("RGB", sides, (90, 90, 90))
    left, top, right, bottom = box
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), fill=(190, 50, 50))
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _found_box(pixels):
    """The box around what is red in a view, as shares of its sides."""
    red = pixels[..., 0].astype(int) - pixels[..., 1]
    rows, columns = np.nonzero(red > red.max() / 2)
    low = (columns.min(), rows.min())
    return tuple(np.array([*low, columns.max() + 1, rows.max() + 1]) / len(pixels))


@pytest.mark.parametrize(
    ("kind", "cut"),
    [(kind, cut) for kind in NAMED.values() for cut in (False, True)] + [(QUARTER, True)],
    ids=lambda value: getattr(value, "name", "cropped" if value else "whole"),
)
@settings(max_examples=30, deadline=None)
@given(sides=SHAPES, parts=st.tuples(*[st.floats(0, 1)] * 4), seed=st.integers(0, 999))
def test_a_box_travels_with_the_view(kind, cut, sides, parts, seed):
    across, down = sides
    crop = (0.3 * across, 0.3 * down, 0.7 * across, 0.7 * down) if cut else None
    # in a whole picture away from its borders, which are continued by reflection
    box = tuple(
        round(side * (start + length * part))
        for side, part, start, length in zip(
            (across, down) * 2, parts, (0.3, 0.3, 0.5, 0.5), (0.1, 0.1, 0.2, 0.2), strict=True
        )
    )
    view = View(kind, seed, "a", 1 + seed % 5)
    told = box_in_view(box, crop or (0.0, 0.0, *sides), view)
    assume(told is not None and min(told[2] - told[0], told[3] - told[1]) > 0.1)
    found = _found_box(augmented_image(_drawn_box(sides, box), SEEN, crop, view))
    assert told == pytest.approx(found, abs=BLUR)


IN_THE_CORNER = (0.0, 0.0, 40.0, 40.0)


@pytest.mark.parametrize(
    ("window", "least", "expected"),
    [
        ((0.0, 0.0, 100.0, 80.0), 0.0, (0, 0, 0.4, 0.5)),
        ((20.0, 20.0, 100.0, 80.0), 0.0, (0, 0, 0.25, 1 / 3)),
        ((20.0, 20.0, 100.0, 80.0), 0.25, (0, 0, 0.25, 1 / 3)),
        ((20.0, 20.0, 100.0, 80.0), 0.26, None),
        ((40.0, 0.0, 100.0, 80.0), 0.0, None),
        ((50.0, 50.0, 100.0, 80.0), 0.0, None),
    ],
)
def test_a_box_is_cut_to_the_plain_view_or_is_not_in_it(window, least, expected):
    found = box_in_view(IN_THE_CORNER, window, View(policy("strong"), 0, "a", 0), least)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_mirrored_view_mirrors_its_box():
    flip = Policy("flip", flip=True)
    whole = (0.0, 0.0, 100.0, 80.0)
    found = {box_in_view(IN_THE_CORNER, whole, View(flip, 0, "a", view)) for view in range(1, 20)}
    assert found == {(0.0, 0.0, 0.4, 0.5), (0.6, 0.0, 1.0, 0.5)}
