from __future__ import annotations

import pytest

from cars_bench.data.card import CardSource, SplitSummary
from cars_bench.data.detection import DetectionSummary, DetectorFiles
from cars_bench.finetune.plan import FinetuneOptions, Steering
from cars_bench.reports.reproduce import reproduce
from cars_bench.tuning.study import Asked
from tests.detectors.seeing import crop
from tests.reports.changes import with_card, with_record, with_study


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
    inputs = with_card(finished, split=SplitSummary(how, 3, {}))
    command = reproduce(inputs).commands[0]
    assert option in command
    assert ("--split" in command) == bool(option)


def test_a_drawn_dataset_is_reproduced_by_demo(finished):
    labels = finished.dataset.folder / "images" / "labels.csv"
    source = CardSource(str(labels), str(labels.parent), "csv with boxes")
    inputs = with_card(finished, source=source)
    assert reproduce(inputs).commands[0].startswith("cars-bench prepare --demo")


def test_names_with_spaces_are_quoted_for_a_shell(finished):
    source = CardSource("my cars.csv", "a b", "csv")
    inputs = with_card(finished, source=source)
    assert "--labels 'my cars.csv' --images 'a b'" in reproduce(inputs).commands[0]


def test_the_space_and_the_repeats_are_those_asked_for(finished):
    asked = Asked(space="my space.yaml", repeats=2)
    tune = reproduce(with_study(finished, asked=asked, window=8)).commands[2]
    assert "--space 'my space.yaml' --oracle random" in tune
    assert "--workers 8 --repeats 2" in tune


def test_fine_tuning_is_asked_for_as_it_was(finished):
    options = FinetuneOptions(recipe="my recipe.yaml", epochs=3, live=True, seed=2)
    command = reproduce(with_record(finished, asked=tuple(options.words()))).commands[-1]
    assert command.endswith("--trial t0001 --recipe 'my recipe.yaml' --epochs 3 --seed 2 --live")


def test_a_change_made_by_hand_stands_as_a_comment(finished):
    change = Steering(from_epoch=8, learning_rate=1e-05, schedule="constant", epochs=12)
    commands = reproduce(with_record(finished, steering=(change,))).commands
    assert commands[-1] == (
        "# stopped after epoch 7: cars-bench finetune --resume "
        "--lr 1e-05 --schedule constant --epochs 12"
    )


def test_an_evaluated_winner_is_evaluated_again(evaluated_winner, finished):
    commands = reproduce(evaluated_winner).commands
    assert commands[-1] == "cars-bench evaluate --study drawn-tiny --split test"
    assert not any("evaluate" in command for command in reproduce(finished).commands)


def test_a_detectors_crop_is_asked_for_as_it_was(finished):
    found = DetectionSummary(
        crop=crop(classes=("red", "green"), margin=0.05, files=DetectorFiles(weights="/w.pth")),
        found=1,
        not_found=0,
        median_share=0.5,
        classes={"red": 1},
    )
    command = reproduce(with_card(finished, crop="detector", detection=found)).commands[0]
    assert "--crop detector:colours:v1 --detect-classes red,green" in command
    assert "--detect-threshold 0.3 --crop-margin 0.05 --detector-weights /w.pth" in command
