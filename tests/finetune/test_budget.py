"""A length of time as it is typed, and what of a recipe fits into it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.errors import UsageError
from cars_bench.finetune.budget import Budget, budget_of, cut_text, fitted, seconds_of
from cars_bench.finetune.recipe import FinetuneOptions, Recipe
from cars_bench.training.specs import Schedule, TrainingSpec

COSINE = Schedule(kind="cosine", warmup_epochs=1.0)
RECIPE = Recipe(views=4, training=TrainingSpec(epochs=16, schedule=COSINE))


def price(recipe: Recipe) -> float:
    """Ten seconds a view and an epoch, thirty for the rest."""
    return 30.0 + 10 * recipe.views + 10 * recipe.training.epochs


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20m", 1200), ("1h", 3600), ("90s", 90), ("1.5h", 5400), ("1h30m", 5400)],
)
def test_a_length_of_time_is_understood(text, seconds):
    assert seconds_of(text) == seconds
    assert budget_of(FinetuneOptions(time=text)) == Budget(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "20", "m", "0m", "-5m", "20 minutes", "1d", "9" * 9 + "h", 20]
)
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UsageError, match="no length of time") as caught:
        seconds_of(text)
    assert "20m" in caught.value.fix


def test_without_a_time_there_is_no_budget():
    assert budget_of(FinetuneOptions()) is None


def test_a_recipe_that_fits_is_left_as_it_is():
    assert fitted(RECIPE, price(RECIPE), price) == RECIPE
    assert cut_text(RECIPE, RECIPE, 1200) == "The whole recipe fits into 20 min 00 s"


@pytest.mark.parametrize(
    ("seconds", "epochs", "views"), [(229, 15, 4), (170, 11, 3), (100, 5, 2), (50, 1, 1)]
)
def test_epochs_and_views_fall_together_and_views_are_given_what_is_left(seconds, epochs, views):
    found = fitted(RECIPE, seconds, price)
    assert (found.training.epochs, found.views) == (epochs, views)
    assert price(found) <= seconds


def test_the_schedule_is_laid_out_for_the_epochs_that_are_left():
    found = fitted(RECIPE, 120, price)
    assert found.training.epochs == 6
    assert found.training.schedule.warmup_epochs == pytest.approx(6 / 16)
    assert cut_text(found, RECIPE, 120) == (
        "Into 2 min 00 s fit 6 epochs on 3 views, of 16 epochs on 4 views; "
        "the schedule is laid out for them"
    )


def test_live_images_have_no_views_to_save():
    found = fitted(replace(RECIPE, live=True), 100, price)
    assert (found.training.epochs, found.views) == (3, 4)


def test_a_budget_that_is_too_small_for_one_epoch_says_what_would_do():
    with pytest.raises(
        UsageError, match=r"--time 49 s is too little: one epoch takes 50 s"
    ) as told:
        fitted(RECIPE, 49, price)
    assert told.value.code == 2
    minutes = seconds_of(told.value.fix.split()[1])
    assert fitted(RECIPE, minutes, price).training.epochs >= 1


@given(st.integers(1, 40), st.integers(1, 12), st.floats(50, 700))
def test_what_fits_never_costs_more_nor_exceeds_the_recipe(epochs, views, seconds):
    asked = Recipe(views=views, training=TrainingSpec(epochs=epochs, schedule=COSINE))
    found = fitted(asked, seconds, price)
    assert price(found) <= seconds
    assert 1 <= found.training.epochs <= epochs
    assert 1 <= found.views <= views
