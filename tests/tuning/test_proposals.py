"""The oracle is asked and told in an order that only the results decide."""

from __future__ import annotations

import random

import pytest

from cars_bench.tuning.oracles import KINDS, Proposer, hyperband_brackets
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
