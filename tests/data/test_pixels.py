"""Views: each is a function of (seed, image_id, view) alone, of the very file that was prepared."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from cars_bench.data.dataset import Dataset, ImageRecord
from cars_bench.data.images import load_image
from cars_bench.data.pixels import LiveImages, View, augmented_image, prepared_bytes, prepared_view
from cars_bench.data.policies import NAMED, Policy, policy
from cars_bench.errors import InputError


@pytest.fixture
def photo(tmp_path):
    from PIL import Image

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
    from PIL import Image, ImageDraw

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
