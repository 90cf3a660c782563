from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.data.pixels import LiveImages
from cars_bench.finetune.plan import new_plan
from cars_bench.finetune.prepared_run import PreparedRun, prepare_run
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.training_data import gather_training_data
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
