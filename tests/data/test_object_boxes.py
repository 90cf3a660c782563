"""Boxes that move with the views, as a head learns them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.data.dataset import Dataset
from cars_bench.data.object_boxes import LEAST_SEEN, ObjectBoxes, object_images
from cars_bench.data.pixels import View, box_in_view
from cars_bench.data.policies import NAMED, Policy
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.errors import UsageError
from cars_bench.progress import Progress


def test_each_view_has_the_box_that_the_view_shows(tiny_dataset: Dataset):
    images = object_images(tiny_dataset, "train")
    boxes = ObjectBoxes(images, NAMED["default"], 7, views=3)
    found = boxes.in_memory()
    assert found.shape == boxes.shape == (36, 3, 4)
    assert found.dtype == boxes.dtype == np.float32
    for image, view in ((0, 0), (5, 1), (35, 2)):
        item = images[image]
        which = View(NAMED["default"], 7, item.image_id, view)
        expected = box_in_view(item.box, (0, 0, item.width, item.height), which, LEAST_SEEN)
        np.testing.assert_allclose(found[image, view], expected, rtol=1e-6)
        np.testing.assert_array_equal(
            boxes[np.array([image]), np.array([view])][0], found[image, view]
        )
    np.testing.assert_allclose(found[:, 0], [item.unit_box for item in images], rtol=1e-6)


def test_records_and_boxes_are_in_one_order(tiny_dataset: Dataset):
    ids = [item.image_id for item in object_images(tiny_dataset, "val")]
    assert ids == [record.image_id for record in tiny_dataset.records("val")]


def test_an_image_without_a_box_and_a_view_that_shows_too_little_have_none(tiny_dataset: Dataset):
    item = object_images(tiny_dataset, "train")[0]
    corner = replace(item, box=(0.0, 0.0, 6.0, 6.0))
    away = Policy("away", translation=0.5)
    found = ObjectBoxes([replace(item, box=None), corner], away, 0, views=40).in_memory()
    assert np.isnan(found[0]).all()
    gone = np.isnan(found[1]).any(axis=1)
    assert 0 < gone.sum() < 40
    assert np.isnan(found[1][gone]).all()


def test_cropped_pictures_are_refused_with_the_fix(workspace, tiny_source):
    options = PrepareOptions(source=tiny_source, name="cut", crop="boxes")
    with pytest.raises(UsageError, match="whole pictures") as refused:
        object_images(prepare(workspace, options, Progress()), "train")
    assert "--crop none" in refused.value.fix


def test_a_dataset_without_boxes_is_refused_with_the_fix(tiny_dataset: Dataset):
    bare = replace(tiny_dataset, card=replace(tiny_dataset.card, boxes=0))
    with pytest.raises(UsageError, match="has none") as refused:
        object_images(bare, "train")
    assert "--boxes detector" in refused.value.fix
