"""Accuracies, intervals and paired tests against known values and plain definitions."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.documents import from_json, to_json
from cars_bench.evaluation import metrics
from cars_bench.evaluation.metrics import Estimate, SplitScore

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]])
LABELS = np.array([1, 2, 1, 1])


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [True, False, False, False]),
        (2, [True, True, False, True]),
        (3, [True] * 4),
        (5, [True] * 4),
    ],
)
def test_topk_correct(k, expected):
    assert metrics.topk_correct(SCORES, LABELS, k).tolist() == expected


def test_ties_go_to_the_lower_label():
    assert metrics.ranking(np.zeros((1, 7)), 5).tolist() == [[0, 1, 2, 3, 4]]


@given(st.integers(1, 8), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_topk_grows_with_k_and_ends_at_everything(classes, n, seed):
    generator = np.random.default_rng(seed)
    scores, labels = generator.normal(size=(n, classes)), generator.integers(0, classes, n)
    hits = [metrics.topk_correct(scores, labels, k) for k in range(1, classes + 1)]
    assert all((a <= b).all() for a, b in pairwise(hits))
    assert hits[-1].all()
    assert (hits[0] == (scores.argmax(1) == labels)).all()


@pytest.mark.parametrize("logits", [[0.0, 1.0], [1e4, 0.0], [-1e4, -1e4], [1e300, -1e300]])
def test_softmax_is_stable(logits):
    chances = metrics.softmax(np.array(logits))
    assert np.isfinite(chances).all()
    assert chances.sum() == pytest.approx(1)


def test_softmax_takes_half_precision_without_overflow():
    chances = metrics.softmax(np.array([[60000, -60000]], np.float16))
    assert chances.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_the_published_table(successes, n, low, high):
    found = metrics.wilson(successes, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_is_ordered_and_symmetric(successes, failures):
    n = successes + failures
    found, mirrored = metrics.wilson(successes, n), metrics.wilson(failures, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_wilson_of_nothing_knows_nothing():
    assert metrics.wilson(0, 0) == Estimate(0.0, 0.0, 1.0)


@pytest.mark.parametrize("successes", [-1, 6])
def test_impossible_counts_are_refused(successes):
    with pytest.raises(ValueError, match="of 5"):
        metrics.wilson(successes, 5)


def test_bootstrap_agrees_with_wilson_on_a_proportion():
    hits = np.arange(1000) < 630
    found, exact = metrics.bootstrap(hits), metrics.wilson(630, 1000)
    assert found.value == exact.value
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.005)


def test_bootstrap_repeats_by_seed():
    values = np.random.default_rng(0).normal(size=50)
    assert metrics.bootstrap(values, seed=4) == metrics.bootstrap(values, seed=4)
    assert metrics.bootstrap(values, seed=4) != metrics.bootstrap(values, seed=5)


def test_pairing_sees_what_separate_intervals_do_not():
    before = np.arange(400) < 200
    after = np.arange(400) < 212  # the same images and twelve more
    difference = metrics.paired_bootstrap(before, after)
    assert difference.value == pytest.approx(0.03)
    assert difference.low > 0
    assert metrics.wilson(200, 400).high > metrics.wilson(212, 400).low


@pytest.mark.parametrize("values", [([], []), ([1], [1, 2])])
def test_paired_bootstrap_refuses_what_is_not_paired(values):
    with pytest.raises(ValueError, match=r"pairs|resample"):
        metrics.paired_bootstrap(*map(np.array, values))


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(0, 0, 1.0), (5, 5, 1.0), (1, 9, 22 / 1024), (0, 6, 2 / 64), (6, 0, 2 / 64)],
)
def test_mcnemar_is_exact(only_first, only_second, p_value):
    first = np.array([True] * only_first + [False] * only_second + [True, False])
    second = np.array([False] * only_first + [True] * only_second + [True, False])
    found = metrics.mcnemar(first, second)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(p_value)


def test_the_interval_of_a_change_between_other_images_is_newcombes():
    """His example: 56/70 against 48/80 is 0.2 with 0.0524 to 0.3339."""
    found = metrics.newcombe(metrics.wilson(48, 80), metrics.wilson(56, 70))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_mcnemar_refuses_different_lengths():
    with pytest.raises(ValueError, match="pairs"):
        metrics.mcnemar(np.ones(3, bool), np.ones(2, bool))


def test_score_has_the_shape_scripts_read():
    document = to_json(metrics.score(SCORES, LABELS))
    assert document["n"] == 4
    assert document["top1"]["value"] == 0.25
    assert document["top5"]["value"] == 1.0
    assert set(document["top1"]) == {"value", "low", "high"}


def test_score_survives_json():
    score = metrics.score(SCORES, LABELS)
    assert from_json(SplitScore, json.loads(json.dumps(to_json(score)))) == score


def test_hits_give_the_score_of_their_logits():
    top1, top5 = (metrics.topk_correct(SCORES, LABELS, k) for k in (1, 5))
    assert metrics.split_score(top1, top5) == metrics.score(SCORES, LABELS)


@pytest.mark.parametrize(
    ("value", "ends"), [(0.5, (0.4, 0.6)), (0.3, (0.3, 0.6)), (0.7, (0.4, 0.7))]
)
def test_an_interval_holds_its_value(value, ends):
    found = Estimate.holding(value, 0.4, 0.6)
    assert (found.low, found.high) == ends


def test_the_interval_of_draws_leaves_out_as_much_on_either_side():
    found = Estimate.of_draws(50.0, np.arange(101.0), confidence=0.9)
    assert (found.low, found.high) == pytest.approx((5, 95))
