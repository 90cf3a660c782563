from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.finetune.live import LiveImages
from cars_bench.finetune.plan import new_plan
from cars_bench.finetune.prepared_run import PreparedRun, prepare_run
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.training_data import Joined, gather_training_data
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


@pytest.fixture
def prepared(tuned: Workspace, recipe: Path) -> PreparedRun:
    return prepare_run(tuned, new_plan(tuned, FinetuneOptions(recipe=str(recipe))))


def test_below_a_frozen_block_activations_are_cached(prepared: PreparedRun) -> None:
    data = gather_training_data(prepared, Progress())
    assert data.boundary_key
    assert data.training.x.shape[:2] == (36, 2)
    assert data.validation.x.shape[:2] == (12, 1)
    assert data.model.input_shape[1:] == tuple(data.training.x.shape[2:])


def test_live_training_takes_the_images(prepared: PreparedRun) -> None:
    plan = replace(prepared.plan, recipe=replace(prepared.recipe, live=True))
    data = gather_training_data(replace(prepared, plan=plan), Progress())
    assert data.boundary_key is None
    assert isinstance(data.training.x, LiveImages)
    assert data.model.input_shape[1:] == (48, 48, 3)


def test_a_refit_trains_on_both_splits_and_keeps_the_validation_images(
    prepared: PreparedRun,
) -> None:
    again = replace(prepared, plan=replace(prepared.plan, refit=True))
    data = gather_training_data(again, Progress())
    both = [*prepared.labels("train"), *prepared.labels("val")]
    np.testing.assert_array_equal(data.training.labels, both)
    np.testing.assert_array_equal(data.validation.labels, prepared.labels("val"))


def test_a_batch_may_hold_images_of_one_split_alone() -> None:
    first = np.arange(12.0).reshape(3, 2, 2)
    joined = Joined(first, -first[:2, :1])
    for images in ([0, 1], [3, 4], [2, 3]):
        index = np.array(images)
        expected = [first[i, 1] if i < 3 else -first[i - 3, 0] for i in images]
        np.testing.assert_array_equal(joined[index, np.ones_like(index)], expected)


class Uninterested:
    """Activations that cannot be read for no image at all, like live ones."""

    shape, dtype = (4, 1, 2), np.dtype(np.float32)

    def __getitem__(self, index: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return np.stack([np.full(2, image, np.float32) for image in index[0]])


def test_a_split_without_an_image_in_the_batch_is_not_asked() -> None:
    joined = Joined(Uninterested(), Uninterested())
    nought = np.zeros(2, int)
    np.testing.assert_array_equal(joined[np.array([0, 3]), nought], [[0, 0], [3, 3]])
    np.testing.assert_array_equal(joined[np.array([4, 7]), nought], [[0, 0], [3, 3]])
