"""Search spaces: the shipped ones parse, bad ones are refused by line and field."""

from __future__ import annotations

import json

import pytest

from cars_bench.documents import shipped
from cars_bench.errors import UsageError
from cars_bench.tuning.oracles import Proposer
from cars_bench.tuning.space import FOLDER, PACKAGE, load_space, parse_space, space_of, specs_of

WIDE = {
    "normalisation", "activation", "label_smoothing", "loss", "epsilon", "schedule", "sampling",
    "views", "mixup", "noise",
}  # fmt: skip


def test_the_shipped_spaces_are_the_documented_ones():
    assert shipped(PACKAGE, FOLDER) == ["default", "quick", "wide"]
    assert {item.name for item in load_space("wide").hyperparameters} >= WIDE


@pytest.mark.parametrize("name", shipped(PACKAGE, FOLDER))
def test_every_proposal_of_a_shipped_space_is_a_valid_spec(name):
    space = load_space(name)
    proposer = Proposer(space, "random", 0, 30)
    for number in range(40):
        values = proposer.propose(f"t{number:04d}")
        head, training = specs_of({**space.fixed, **values})
        assert len(head.layers) == values["depth"]
        assert training.epochs == space.fixed["epochs"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  dropout: {type: float, min: 0.9, max: 0.1}", ("line 3", "dropout", "min 0.9")),
        ("  dropout: {type: float, min: 0, max: 7}", ("line 3", "dropout", "7")),
        ("  droput: {type: float, min: 0, max: 0.5}", ("line 3", "droput")),
        ("  dropout: {type: floaty, min: 0, max: 0.5}", ("line 3", "dropout", "type")),
        ("  dropout: 0.5", ("line 3", "dropout")),
        ("  dropout: {type: float, max: 0.5}", ("line 3", "dropout", "min")),
        ("  dropout: {type: float, min: zero, max: 0.5}", ("line 3", "dropout", "min")),
        ("  l2: {type: float, min: 0, max: 1, log: true}", ("line 3", "l2", "min above 0")),
        ("  batch_size: {type: int, min: 0, max: 64}", ("line 3", "batch_size", "0")),
        ("  batch_size: {type: int, min: 8, max: 64, step: -8}", ("line 3", "batch_size", "step")),
        ("  optimizer: {type: choice, values: [adam, lion]}", ("line 3", "optimizer", "lion")),
        ("  optimizer: {type: choice, values: []}", ("line 3", "optimizer", "values")),
        ("  units_1: {type: int, min: 8, max: 9, when: {layers: 1}}", ("line 3", "layers")),
        ("  units_1: {type: int, min: 8, max: 9, when: 1}", ("line 3", "when")),
        ("  units_1: {type: int, min: 8, max: 9, above: 1}", ("line 3", "above")),
        ("  dropout: {type: float, min: 0, max: .nan}", ("line 3", "dropout")),
        ("  dropout: {type: float, min: 0, max: .inf}", ("line 3", "dropout")),
        ("  : [", ("line", "YAML")),
    ],
)
def test_a_bad_field_is_refused_by_line_and_name(line, words):
    text = f"hyperparameters:\n  depth: {{type: int, min: 0, max: 1}}\n{line}\n"
    with pytest.raises(UsageError) as caught:
        parse_space(text, "mine.yaml")
    for word in ("mine.yaml", *words):
        assert word in caught.value.message


@pytest.mark.parametrize(
    "text", ["", "- a\n", "hyperparameters: 3\n", "fixed: {wrong: 1}\nhyperparameters: {}\n",
             "name: x\nunknown: 1\nhyperparameters: {}\n"],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused(text):
    with pytest.raises(UsageError, match="mine"):
        parse_space(text, "mine.yaml")


def test_a_missing_file_names_the_shipped_spaces():
    with pytest.raises(UsageError) as caught:
        load_space("nowhere.yaml")
    assert "wide" in caught.value.fix


def test_a_field_that_stands_twice_is_refused_by_its_second_line():
    text = "hyperparameters:\n  l2: {type: choice, values: [1]}\n  l2: 3\n"
    with pytest.raises(UsageError, match="line 3: l2 stands there twice"):
        parse_space(text, "mine.yaml")


def test_fixed_values_are_tried_too():
    with pytest.raises(UsageError, match=r"mine\.yaml line 1: fixed: epochs must be at least 1"):
        parse_space("fixed: {epochs: 0}\nhyperparameters: {}\n", "mine.yaml")


@pytest.mark.parametrize("name", shipped(PACKAGE, FOLDER))
def test_a_study_gives_back_the_space_that_it_kept(name):
    space = load_space(name)
    kept = json.loads(json.dumps(space.document))
    assert space_of(kept) == space
