"""An experiment's config: what it says, and what is refused by line and nearest key.

Covers cars_bench/experiments/config.py and cars_bench/experiments/names.py.
"""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from cars_bench.cli.prepare import prepare
from cars_bench.errors import InputError, UsageError
from cars_bench.experiments.config import Data
from cars_bench.experiments.experiment import load_experiment, read_experiment
from cars_bench.experiments.names import dataset_name, study_name
from cars_bench.finetune.recipe import Recipe
from tests.experiments.small import CONFIG, small


def test_a_folder_and_its_config_are_the_same_experiment(tmp_path: Path):
    experiment = small(tmp_path / "shapes")
    assert load_experiment(experiment.folder) == experiment
    assert load_experiment(experiment.folder / "config.yml") == experiment
    assert experiment.name == "shapes"
    assert experiment.backbone == "tiny"


def test_attempts_take_what_they_do_not_say_from_the_experiment(tmp_path: Path):
    text = CONFIG.replace("    measure: test", "    measure: test\n    features: {image_size: 64}")
    first, second, _ = small(tmp_path, text).planned
    assert (first.features.image_size, second.features.image_size) == (64, 48)
    assert first.features.backbone == "tiny"


def test_a_recipe_may_stand_in_the_config(tmp_path: Path):
    finish = small(tmp_path).planned[1].finish
    assert finish is not None
    assert isinstance(finish.recipe, Recipe)
    assert finish.options("s", "t").resolved().training.epochs == 2
    assert finish.options("s", "t").resolved().unfreeze == "all-but:1"


def test_a_policy_a_space_and_a_recipe_may_be_files_of_the_folder(tmp_path: Path):
    (tmp_path / "far.yml").write_text("rotation_degrees: 36\n")
    (tmp_path / "space.yml").write_text("head: {layers: [{units: 7}]}\n")
    (tmp_path / "recipe.yml").write_text("views: 4\naugment: light\n")
    text = (
        "summary: files\nattempts:\n  - name: one\n    space: space.yml\n"
        "    features: {augment: far.yml}\n    finetune: {recipe: recipe.yml}\n"
    )
    (planned,) = small(tmp_path, text).planned
    assert planned.features.options().policy.rotation_degrees == 36
    assert planned.space.head.layers[0].units == 7
    assert planned.finish is not None
    assert planned.finish.options("s", "t").resolved().views == 4


@pytest.mark.parametrize(
    ("before", "after", "words", "fix"),
    [
        ("summary: Whe", "sumary: Whe", ("line 1", "sumary"), "summary"),
        ("image_size: 48", "image_sise: 48", ("line 5", "image_sise"), "image_size"),
        ("measure: test", "measures: test", ("line 13", "measures"), "measure"),
        ("layers: [{units", "layer: [{units", ("line 10", "layer"), "layers"),
        ("units: 16", "unit: 16", ("line 10", "unit"), "units"),
        ("epochs: 3", "epoch: 3", ("line 11", "epoch"), "epochs"),
        ("unfreeze: all", "unfreze: all", ("line 20", "unfreze"), "unfreeze"),
        ("split: test, top1: 0.68", "split: test, top1: 68", ("line 3", "top1"), "change"),
        ("measure: test", "measure: tset", ("line 13", "measure"), "mend"),
        ("minutes: 2", "minutes: 2, attempt: surgeon", ("line 4", "surgeon"), "surgery"),
        ("name: surgery", "name: one-dense", ("twice", "one-dense"), "rename"),
        ("name: surgery", "name: a/b", ("line 16", "a/b"), "letters"),
        ("views: 2, augment: light", "views: 2, augment: lihgt", ("surgery", "lihgt"), "light"),
    ],
)
def test_what_is_wrong_is_refused_by_line_with_the_nearest_key(before, after, words, fix, tmp_path):
    assert before in CONFIG
    with pytest.raises(UsageError) as caught:
        read_experiment(CONFIG.replace(before, after, 1), tmp_path)
    for word in ("config.yml", *words):
        assert word in caught.value.message
    assert fix in caught.value.fix


def test_without_a_config_or_a_source_it_says_what_to_type(tmp_path: Path):
    with pytest.raises(InputError, match="no experiment"):
        load_experiment(tmp_path / "nothing")
    experiment = small(tmp_path / "shapes")
    with pytest.raises(InputError, match="does not say where") as caught:
        experiment.source(None)
    assert "SOURCE" in caught.value.fix
    with pytest.raises(InputError, match="nothing at"):
        experiment.source(tmp_path / "gone")


def test_the_source_of_the_config_lies_beside_it(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    experiment = small(tmp_path / "shapes", CONFIG + "data: {source: ../photos}\n")
    assert experiment.source(None) == tmp_path / "photos"


def test_every_key_of_data_is_an_option_of_prepare_by_its_own_name():
    options = set(inspect.signature(prepare).parameters)
    assert {item.name for item in fields(Data)} <= options


def test_labels_and_images_lie_in_the_sources_folder(tmp_path: Path):
    said = Data(labels="labels.csv", images="../photos")
    wanted = {"labels": tmp_path / "labels.csv", "images": tmp_path / "../photos"}
    assert said.paths(tmp_path) == wanted
    assert said.paths(tmp_path / "labels.csv") == wanted
    assert Data().paths(tmp_path) == {}


def test_attempts_alike_share_a_study_and_others_have_their_own(tmp_path: Path):
    experiment = small(tmp_path / "shapes", CONFIG.replace("space: *head", "space: quick", 1))
    names = [study_name(experiment, item) for item in experiment.planned]
    assert names[0] == names[2]
    assert names[0].startswith("shapes-one-dense-")
    assert names[1].startswith("shapes-surgery-")


def test_a_changed_search_has_another_study(tmp_path: Path):
    before, after = (
        small(tmp_path / "shapes", CONFIG.replace("units: 16", f"units: {units}"))
        for units in (16, 17)
    )
    assert study_name(before, before.planned[0]) != study_name(after, after.planned[0])


def test_a_dataset_is_named_by_what_is_special_about_it(tmp_path: Path):
    text = CONFIG.replace("    checks: true", "    data: {crop: boxes}")
    experiment = small(tmp_path / "shapes", text)
    names = [dataset_name(experiment, item) for item in experiment.planned]
    assert names == ["shapes-crop-boxes", "shapes", "shapes"]
