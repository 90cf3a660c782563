from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.data.dataset import Dataset
from cars_bench.data.policies import NAMED
from cars_bench.errors import InputError
from cars_bench.finetune.live import LiveImages


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
