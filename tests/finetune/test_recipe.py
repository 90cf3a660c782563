from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.documents import from_json, shipped, to_json
from cars_bench.errors import UsageError
from cars_bench.finetune.recipe import (
    FOLDER,
    PACKAGE,
    EarlyEpochs,
    FinetuneOptions,
    Recipe,
    load_recipe,
)


@pytest.mark.parametrize("name", shipped(PACKAGE, FOLDER))
def test_every_shipped_recipe_is_read_and_round_trips(name: str) -> None:
    recipe = load_recipe(name)
    assert from_json(Recipe, to_json(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("views: 0\n", r"mine\.yaml line 1: views must be at least 1"),
        (
            "augment: light\ntraining:\n  epochs: many\n",
            r"mine\.yaml line 3: epochs must be a whole number",
        ),
        ("unfreeze: all\nview: 3\n", r"mine\.yaml line 2: Recipe has no field 'view'"),
        ("- a list\n", "must be `field: value` lines"),
        ("training: {\n", "is not YAML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_recipe(tmp_path / "mine.yaml")


def test_an_unknown_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(UsageError, match="no recipe 'none-such'") as caught:
        load_recipe("none-such")
    assert "thorough" in caught.value.fix


def test_what_is_asked_stands_in_the_recipe() -> None:
    options = FinetuneOptions(unfreeze="all", epochs=2, learning_rate=1e-4, live=True)
    recipe = options.resolved()
    assert (recipe.unfreeze, recipe.live, recipe.training.epochs) == ("all", True, 2)
    assert recipe.training.learning_rate == 1e-4
    assert FinetuneOptions().resolved() == load_recipe()


def test_the_command_line_that_asks_for_the_same() -> None:
    asked = FinetuneOptions(trial="t1", study="s", epochs=2, learning_rate=1e-4, seed=3)
    words = "--recipe default --epochs 2 --lr 0.0001 --seed 3"
    assert asked.words() == tuple(words.split())
    flags = FinetuneOptions(live=True, warm_up=False, refit=True).words()
    assert " ".join(flags) == "--recipe default --refit train+val --seed 0 --live --no-warm-up"


def test_a_named_schedule_keeps_the_recipes_own_settings() -> None:
    training = FinetuneOptions(schedule="cosine", learning_rate=1e-4).resolved().training
    assert (training.schedule.warmup_epochs, training.learning_rate) == (1.0, 1e-4)


def test_a_piecewise_schedule_takes_no_single_rate() -> None:
    with pytest.raises(UsageError, match="piecewise"):
        FinetuneOptions(schedule="piecewise", learning_rate=1e-4).resolved()


def test_a_recipe_may_be_given_itself_and_its_words_name_the_file_it_is_kept_in() -> None:
    recipe = Recipe(views=5)
    options = FinetuneOptions(recipe=recipe, unfreeze="last:2")
    assert options.resolved().views == 5
    assert options.resolved().unfreeze == "last:2"
    assert options.words(Path("runs/recipe.yaml"))[:2] == ("--recipe", "runs/recipe.yaml")


@pytest.mark.parametrize(
    ("share", "epochs", "count"), [(0.0, 9, 0), (0.67, 9, 6), (0.95, 4, 3), (0.9, 1, 0)]
)
def test_the_last_epoch_is_never_among_those_on_small_images(
    share: float, epochs: int, count: int
) -> None:
    assert EarlyEpochs(share=share).count(epochs) == count


@pytest.mark.parametrize(
    ("scale", "size", "pixels"), [(0.67, 288, 192), (0.67, 48, 32), (0.1, 224, 32), (1.0, 100, 96)]
)
def test_small_images_are_multiples_of_a_networks_stride(
    scale: float, size: int, pixels: int
) -> None:
    assert EarlyEpochs(scale=scale).pixels(size) == pixels


@pytest.mark.parametrize("text", ["share: 1.0", "scale: 0", "scale: 1.5"])
def test_early_epochs_out_of_range_are_refused_with_their_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"early:\n  {text}\n")
    with pytest.raises(UsageError, match=r"mine\.yaml line 2: early\.\w+ must be"):
        load_recipe(tmp_path / "mine.yaml")
