from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cars_bench.data.pixels import LiveImages
from cars_bench.finetune.plan import new_plan
from cars_bench.finetune.prepared_run import PreparedRun, prepare_run
from cars_bench.finetune.recipe import EarlyEpochs, FinetuneOptions
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


@pytest.mark.parametrize("live", [False, True])
def test_the_first_epochs_take_smaller_images(prepared: PreparedRun, live: bool) -> None:
    early = EarlyEpochs(share=0.5)
    recipe = replace(prepared.recipe, live=live, early=early)
    plan = replace(prepared.plan, recipe=recipe)
    data = gather_training_data(replace(prepared, plan=plan), Progress())
    assert data.early is not None
    assert data.early.epochs == early.count(recipe.training.epochs)
    taken = data.early.examples.x.shape
    assert taken[0] == data.training.x.shape[0]
    assert data.early.model.input_shape[1:] == taken[2:]
    assert np.prod(taken[2:4]) < np.prod(data.training.x.shape[2:4])
    shared, mine = (model.trainable_variables for model in (data.early.model, data.model))
    assert [id(variable) for variable in shared] == [id(variable) for variable in mine]


def test_epochs_on_small_images_are_none_where_they_were_not_asked_for(
    prepared: PreparedRun,
) -> None:
    assert prepared.early_pixels is None
    assert gather_training_data(prepared, Progress()).early is None
