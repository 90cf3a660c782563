from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from cars_bench.evaluation import agreement
from cars_bench.evaluation.agreement import (
    accuracy_over_seeds,
    gain_over_seeds,
    rank_agreement,
    regret,
)

few_draws = pytest.fixture(autouse=True)(
    lambda monkeypatch: monkeypatch.setattr(agreement, "RESAMPLES", 200)
)


def rights(shares: list[float], seeds: int, images: int, seed: int = 0) -> np.ndarray:
    """Answers of heads of known accuracy, bool `[H, S, N]`."""
    drawn = np.random.default_rng(seed).random((len(shares), seeds, images))
    return drawn < np.array(shares)[:, None, None]


def exact(counts: list[int], seeds: int = 1) -> np.ndarray:
    """Answers of heads that name so many of 20 images right, bool `[H, S, 20]`."""
    one = np.arange(20) < np.array(counts)[:, None]
    return np.repeat(one[:, None], seeds, 1)


SPREAD = np.linspace(0.2, 0.8, 7).tolist()


def test_the_same_order_has_a_tau_of_one_and_the_reverse_one_of_minus_one() -> None:
    answers = rights(SPREAD, 2, 4000)
    same = rank_agreement(answers.mean(1), answers)
    opposite = rank_agreement(answers.mean(1), answers[::-1])
    assert same.value == pytest.approx(1)
    assert same.low > 0.9
    assert opposite.value == pytest.approx(-1)
    assert opposite.high < -0.9


def test_agreement_of_chance_has_a_wide_interval() -> None:
    answers = rights([0.5] * 7, 1, 60)
    found = rank_agreement(answers[:, 0], rights([0.5] * 7, 1, 60, seed=1))
    assert found.low < 0 < found.high


HEADS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=12)


@settings(max_examples=15, deadline=None)
@given(HEADS, st.integers(1, 3))
def test_tau_is_scipys_with_ties_and_lies_in_its_interval(pairs, seeds) -> None:
    before, after = (list(column) for column in zip(*pairs, strict=True))
    found = rank_agreement(exact(before)[:, 0], exact(after, seeds))
    expected = kendalltau(before, after).statistic
    assert found.value == pytest.approx(0.0 if np.isnan(expected) else expected)
    assert -1 <= found.low <= found.value <= found.high <= 1


@settings(max_examples=15, deadline=None)
@given(HEADS, st.randoms(use_true_random=False))
def test_the_order_in_which_heads_stand_changes_nothing(pairs, random) -> None:
    shuffled = random.sample(pairs, len(pairs))
    values = []
    for heads in (pairs, shuffled):
        before, after = (list(column) for column in zip(*heads, strict=True))
        values.append(rank_agreement(exact(before)[:, 0], exact(after)).value)
    assert values[0] == pytest.approx(values[1])


def test_heads_that_all_score_the_same_say_nothing() -> None:
    same = exact([7, 7, 7])
    found = rank_agreement(same[:, 0], same)
    assert (found.value, found.low, found.high) == (0, -1, 1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.data())
def test_regret_is_the_best_less_the_winner_and_never_below_nought(counts, data) -> None:
    winner = data.draw(st.integers(0, len(counts) - 1))
    found = regret(exact(counts), winner)
    assert found.lost.value == pytest.approx((max(counts) - counts[winner]) / 20)
    assert 0 <= found.lost.low <= found.lost.value <= found.lost.high <= 1


def test_a_winner_that_is_clearly_worse_is_regretted_for_certain() -> None:
    found = regret(rights([0.3, 0.9, 0.5], 2, 500), 0)
    assert found.lost.low > 0.4
    assert found.by_chance < 0.06


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_equal_heads_is_not_taken_for_a_better_one(seed: int) -> None:
    found = regret(rights([0.5] * 12, 2, 200, seed), 0)
    assert found.lost.value > 0
    assert found.lost.low == 0
    assert 0.03 < found.by_chance < 0.1


def test_the_same_seed_gives_the_same_intervals() -> None:
    answers = rights(SPREAD, 2, 50)
    assert rank_agreement(answers[:, 0], answers) == rank_agreement(answers[:, 0], answers)
    assert regret(answers, 3) == regret(answers, 3)


def test_trainings_are_compared_on_the_same_images() -> None:
    low, high = exact([10, 10])[:, 0], exact([14, 12])[:, 0]
    assert accuracy_over_seeds(high).value == pytest.approx(13 / 20)
    found = gain_over_seeds(low, high)
    assert found.value == pytest.approx(3 / 20)
    assert found.low >= 0
