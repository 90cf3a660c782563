"""The oracle is asked and told in an order that only the results decide."""

from __future__ import annotations

import random

import pytest

from cars_bench.tuning.hyperparameters import Values, specs_of
from cars_bench.tuning.oracles import KINDS, Proposer, SingleTrial, hyperband_brackets
from cars_bench.tuning.proposals import Proposals
from cars_bench.tuning.space import parse_space
from tests.tuning.studies import SPACE

# The Bayesian oracle draws its first twelve at random in this space.
EPOCHS, TRIALS = 9, 14


def score_of(values) -> float | None:
    """A score that depends on the values alone; one trial in seven fails."""
    rng = random.Random(str(sorted(values.items())))
    return None if rng.random() < 1 / 7 else rng.random()


def walk(oracle, total, workers=1, known=(), seed=0, shuffle=0):
    """Run a search without training; trials on their way end in a shuffled order."""
    proposer = Proposer(parse_space(SPACE), oracle, seed, EPOCHS)
    proposals = Proposals(proposer, 4, total, list(known))
    order, said, running = random.Random(shuffle), [], []
    while True:
        while len(running) < workers and (found := proposals.next()) is not None:
            said.append(found[1])
            running.append(found)
        if not running:
            return said
        number, values = running.pop(order.randrange(len(running)))
        proposals.end(number, score_of(values))


@pytest.mark.parametrize("oracle", KINDS)
def test_any_number_of_workers_in_any_order_gives_the_same_trials(oracle):
    alone = walk(oracle, TRIALS)
    assert len(alone) == TRIALS
    assert walk(oracle, TRIALS, workers=4, shuffle=2) == alone


@pytest.mark.parametrize("oracle", KINDS)
@pytest.mark.parametrize("stopped_after", [1, 13])
def test_a_resumed_search_proposes_what_it_would_have_proposed(oracle, stopped_after):
    whole = walk(oracle, TRIALS)
    assert walk(oracle, TRIALS, known=whole[:stopped_after]) == whole


@pytest.mark.parametrize("oracle", KINDS)
def test_more_trials_begin_with_the_same_ones(oracle):
    assert walk(oracle, TRIALS)[:10] == walk(oracle, 10)


@pytest.mark.parametrize("oracle", ["random", "bayesian", "hyperband"])
def test_seed_zero_is_a_seed_like_any_other(oracle):
    assert walk(oracle, 6, seed=0) == walk(oracle, 6, seed=0)
    assert walk(oracle, 6, seed=0) != walk(oracle, 6, seed=1)


def test_the_ledger_overrules_the_oracle():
    recorded = {"depth": 0, "features_dropout": 0.0, "learning_rate": 0.5}
    assert walk("random", 3, known=[recorded])[0] == recorded


def test_a_grid_ends_when_it_has_been_walked():
    space = parse_space("hyperparameters: {depth: {type: int, min: 0, max: 2}}")
    proposals = Proposals(Proposer(space, "grid", 0, EPOCHS), 4, 100, [])
    found = []
    while (item := proposals.next()) is not None:
        found.append(item[1]["depth"])
        proposals.end(item[0], 0.5)
    assert sorted(found) == [0, 1, 2]
    assert proposals.exhausted


def test_hyperband_ends_one_bracket_before_it_begins_the_next():
    total = sum(item.trials for item in hyperband_brackets(EPOCHS, 100))
    numbers = [values["tuner/bracket"] for values in walk("hyperband", total, workers=4)]
    assert [n for i, n in enumerate(numbers) if i == 0 or numbers[i - 1] != n][:3] == [2, 1, 0]


def test_hyperband_promotes_to_more_epochs():
    epochs = {values["tuner/epochs"] for values in walk("hyperband", 12)}
    assert {1, 3} <= epochs <= {1, 3, 9}


@pytest.mark.parametrize(("trials", "fitting"), [(10, []), (52, [3]), (90, [3, 2, 1, 0])])
def test_only_whole_brackets_are_planned(trials, fitting):
    assert [item.number for item in hyperband_brackets(30, trials)] == fitting


GRID = """\
hyperparameters:
  batch_size: {type: choice, values: [16, 32]}
  learning_rate: {type: choice, values: [0.001, 0.01, 0.025]}
  epsilon: {type: choice, values: [1.0e-4, 0.1]}
  noise: {type: choice, values: [0.0, 0.01]}
  l2: {type: choice, values: [0.0, 0.01], when: {noise: [0.0]}}
"""


def grid_walk(known: list[Values], upto: int) -> tuple[list[Values], bool]:
    """Values in order of a grid, four on their way, the last begun ending first."""
    oracle = Proposer(parse_space(GRID), "grid", 0, 3)
    proposals = Proposals(oracle, 4, upto, known)
    given: list[Values] = []
    running: list[int] = []
    while True:
        found = proposals.next()
        if found is not None:
            given.append(found[1])
            running.append(found[0])
        elif running:
            number = running.pop()
            proposals.end(number, (number * 7 % 11) / 11)
        else:
            return given, proposals.exhausted


def test_a_grid_gives_every_point_once_and_goes_on_where_it_was():
    points, exhausted = grid_walk([], 1000)
    assert exhausted
    assert len(points) == len({str(specs_of(point)) for point in points}) == 2 * 3 * 2 * 3
    begun, _ = grid_walk([], 10)
    assert begun == points[:10]
    assert grid_walk(begun, 1000) == (points, True)


def test_a_space_that_varies_nothing_has_one_trial():
    proposals = Proposals(SingleTrial(), 4, 100, [])
    assert proposals.next() == (0, {})
    assert proposals.next() is None
    proposals.end(0, 0.5)
    assert proposals.next() is None
    assert proposals.exhausted
