from __future__ import annotations

from dataclasses import fields, replace

import pytest

from cars_bench.cache.keys import TITLES, FeatureRecipe, titles
from cars_bench.checksums import canonical
from cars_bench.data.policies import policy
from cars_bench.documents import from_json
from cars_bench.errors import UsageError
from tests.cache.helpers import RECIPE

NAMES = [field.name for field in fields(FeatureRecipe)]


@pytest.mark.parametrize("name", NAMES)
def test_changing_any_field_gives_another_key_and_is_named(name):
    old = getattr(RECIPE, name)
    other = replace(RECIPE, **{name: old + 1 if isinstance(old, int) else f"{old}x"})
    assert other.key != RECIPE.key
    assert other.differences(RECIPE) == [name]
    assert titles([name]) == TITLES[name]


def test_the_same_recipe_has_the_same_key_everywhere():
    assert replace(RECIPE).key == RECIPE.key == "c20bdfc01066956c"
    assert RECIPE.differences(replace(RECIPE)) == []


def test_a_recipe_survives_json():
    assert from_json(FeatureRecipe, RECIPE.to_json()) == RECIPE


def test_an_unknown_or_missing_field_is_refused():
    with pytest.raises(UsageError, match="colour"):
        from_json(FeatureRecipe, RECIPE.to_json() | {"colour": 1})
    with pytest.raises(UsageError, match="crop"):
        from_json(FeatureRecipe, {k: v for k, v in RECIPE.to_json().items() if k != "crop"})


def test_the_policy_of_the_views_is_read_back_under_a_name():
    default = policy("default")
    recipe = replace(RECIPE, augment=canonical(default.to_json()))
    assert recipe.policy("default") == default
    assert recipe.policy("recorded") == replace(default, name="recorded")
