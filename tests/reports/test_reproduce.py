from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.data.card import CardSource, SplitSummary
from cars_bench.finetune.plan import FinetuneOptions
from cars_bench.reports.reproduce import reproduce


def test_every_stage_that_ran_has_its_command(finished):
    commands = reproduce(finished).commands
    assert [command.split()[1] for command in commands] == [
        "prepare", "extract", "tune", "probe", "finetune",
    ]  # fmt: skip
    assert (
        commands[0] == "cars-bench prepare --labels cars.csv --split 65/20/15 --seed 0 --name drawn"
    )
    assert "--trial t0001 --unfreeze conv3 --epochs 10 --lr 0.0001 --seed 0" in commands[-1]


@pytest.mark.parametrize(
    ("how", "option"),
    [
        ("the source's own", "--split column"),
        ("50/25/25, stratified", "--split 50/25/25"),
        ("", ""),
    ],
)
def test_the_split_is_asked_for_as_it_was_made(finished, how, option):
    card = replace(finished.dataset.card, split=SplitSummary(how, 3, {}))
    inputs = replace(finished, dataset=replace(finished.dataset, card=card))
    command = reproduce(inputs).commands[0]
    assert option in command
    assert ("--split" in command) == bool(option)


def test_a_drawn_dataset_is_reproduced_by_demo(finished):
    labels = finished.dataset.folder / "images" / "labels.csv"
    source = CardSource(str(labels), str(labels.parent), "csv with boxes")
    card = replace(finished.dataset.card, source=source)
    inputs = replace(finished, dataset=replace(finished.dataset, card=card))
    assert reproduce(inputs).commands[0].startswith("cars-bench prepare --demo")


def test_names_with_spaces_are_quoted_for_a_shell(finished):
    source = CardSource("my cars.csv", "a b", "csv")
    card = replace(finished.dataset.card, source=source)
    inputs = replace(finished, dataset=replace(finished.dataset, card=card))
    assert "--labels 'my cars.csv' --images 'a b'" in reproduce(inputs).commands[0]


def _with_run(finished, **entries):
    run = replace(finished.run, record=finished.run.record | entries)
    return reproduce(replace(finished, runs=(run,))).commands


def test_the_space_and_the_repeats_are_those_asked_for(finished):
    study = finished.study | {"asked": {"space": "my space.yaml", "repeats": 2}, "window": 8}
    tune = reproduce(replace(finished, study=study)).commands[2]
    assert "--space 'my space.yaml' --oracle random" in tune
    assert "--workers 8 --repeats 2" in tune


@pytest.mark.parametrize(("name", "words"), [("quick", "--space quick"), ("mine", "")])
def test_an_older_study_names_its_space_only_if_it_is_a_shipped_one(finished, name, words):
    study = finished.study | {"space": {"name": name}}
    tune = reproduce(replace(finished, study=study)).commands[2]
    assert words in tune
    assert ("--space" in tune) == bool(words)


def test_fine_tuning_is_asked_for_as_it_was(finished):
    options = FinetuneOptions(recipe="my recipe.yaml", epochs=3, live=True, seed=2)
    command = _with_run(finished, asked=list(options.words()))[-1]
    assert command.endswith("--trial t0001 --recipe 'my recipe.yaml' --epochs 3 --seed 2 --live")


def test_a_change_made_by_hand_stands_as_a_comment(finished):
    change = {"from_epoch": 8, "learning_rate": 1e-05, "schedule": "constant", "epochs": 12}
    commands = _with_run(finished, steering=[change])
    assert commands[-1] == (
        "# stopped after epoch 7: cars-bench finetune --resume "
        "--lr 1e-05 --schedule constant --epochs 12"
    )
