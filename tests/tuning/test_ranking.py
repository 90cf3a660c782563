"""Bootstrap over images and seeds, and the winner's curse on made-up heads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.tuning.ranking import (
    expected_drop,
    interval,
    pack,
    resampled_means,
    told_apart,
    unpack,
)


def answers(share, count=400, seeds=1, seed=0):
    return np.random.default_rng(seed).random((seeds, count)) < share


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_answers_come_back_from_text(correct):
    np.testing.assert_array_equal(unpack(pack(np.array(correct))), correct)


def test_the_interval_is_about_that_of_a_proportion():
    right = answers(0.6)
    estimate = interval(resampled_means([right])[:, 0], float(right.mean()))
    half = 1.96 * (0.6 * 0.4 / 400) ** 0.5
    assert estimate.value - estimate.low == pytest.approx(half, rel=0.15)
    assert estimate.high - estimate.value == pytest.approx(half, rel=0.15)


def test_seeds_that_differ_widen_the_interval():
    alike = np.repeat(answers(0.6), 3, axis=0)
    apart = np.stack([answers(share)[0] for share in (0.4, 0.6, 0.8)])
    widths = [np.ptp(np.quantile(m, [0.025, 0.975])) for m in resampled_means([alike, apart]).T]
    assert widths[1] > 2 * widths[0]


def test_the_same_difference_is_told_apart_only_where_it_is_paired():
    first = answers(0.6)
    slightly = first.copy()
    slightly[0, np.flatnonzero(first[0])[:12]] = False
    means = resampled_means([first, slightly, answers(0.57, seed=5)])
    assert told_apart(means[:, 1], means[:, 0])
    assert not told_apart(means[:, 2], means[:, 0])


def test_a_head_is_never_told_apart_from_itself():
    means = resampled_means([answers(0.6)])
    assert not told_apart(means[:, 0], means[:, 0])


def test_the_best_of_one_is_not_expected_to_fall():
    assert abs(expected_drop([answers(0.6)])) < 0.005


def test_the_best_of_a_hundred_equals_falls_by_about_its_luck():
    heads = [answers(0.6, seed=seed) for seed in range(100)]
    luck = max(head.mean() for head in heads) - 0.6
    assert expected_drop(heads) == pytest.approx(luck, rel=0.5)
