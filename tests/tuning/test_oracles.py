"""KerasTuner's oracles in memory: what they are told, and the private parts that this rests on."""

from __future__ import annotations

import inspect

import pytest
from keras_tuner import oracles

from cars_bench.tuning.oracles import (
    KINDS,
    PRIVATE_PARTS,
    Bracket,
    Proposer,
    declared,
    hyperband_brackets,
)
from cars_bench.tuning.space import parse_space
from tests.tuning.studies import SPACE


@pytest.mark.parametrize("name", PRIVATE_PARTS)
def test_keras_tuner_still_has_the_private_parts_that_are_used(name):
    method = getattr(oracles.HyperbandOracle, name)
    assert tuple(inspect.signature(method).parameters) == ("self", *PRIVATE_PARTS[name])


@pytest.mark.parametrize("kind", KINDS)
def test_an_oracle_writes_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    proposer = Proposer(parse_space(SPACE), kind, 0, 9)
    for number in range(3):
        proposer.propose(f"t{number}")
        proposer.tell(f"t{number}", 0.5 if number else None)
    assert list(tmp_path.iterdir()) == []


def test_a_bracket_waits_for_its_own_trials_before_the_next_begins():
    proposer = Proposer(parse_space(SPACE), "hyperband", 0, 3)
    first = hyperband_brackets(3, 100)[0]
    assert first.number == 1
    brackets = []
    waited = False
    for number in range(first.trials + 1):
        values = proposer.propose(f"t{number}")
        if values is None:
            waited = True
            for told in range(number):
                proposer.tell(f"t{told}", told / 10)
            values = proposer.propose(f"t{number}")
        brackets.append(values["tuner/bracket"])
        if waited:
            proposer.tell(f"t{number}", 0.5)
    assert waited
    assert brackets == [1] * first.trials + [0]


@pytest.mark.parametrize(
    ("epochs", "trials", "sizes"),
    [(9, 100, [(2, 13), (1, 7), (0, 3)]), (1, 2, [(0, 1), (0, 1)]), (9, 12, [])],
)
def test_only_whole_brackets_fit_and_the_longest_comes_first(epochs, trials, sizes):
    found = hyperband_brackets(epochs, trials)
    assert found[: len(sizes)] == [Bracket(*item) for item in sizes]
    assert sum(item.trials for item in found) <= trials


def test_choices_keep_their_types():
    text = "hyperparameters: {box: {type: choice, values: [false, true]}}"
    proposer = Proposer(parse_space(text), "grid", 0, 3)
    values = []
    for number in range(2):
        values.append(proposer.propose(f"t{number}")["box"])
        proposer.tell(f"t{number}", 0.5)
    assert [type(value) for value in values] == [bool, bool]


def test_conditions_are_declared():
    found = {item.name: item.conditions for item in declared(parse_space(SPACE)).space}
    assert [item.name for item in found["units_1"]] == ["depth"]
    assert found["depth"] == []
