"""Two models on the same images, whatever the order of their tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cars_bench.evaluation.comparison import Marks, answers_changed
from cars_bench.evaluation.metrics import Estimate, mcnemar, paired_bootstrap
from cars_bench.evaluation.predictions import Prediction, Predictions


def _marks(right, true=None, first=0):
    """Images `000`, `001`, ... from `first` on, of one class unless told."""
    images = [f"{number:03d}" for number in range(first, first + len(right))]
    return Marks(images, true or ["a"] * len(right), np.array(right, np.float64))


def test_images_that_only_one_gets_right_are_counted():
    found = answers_changed(_marks([1, 0, 0, 1]), _marks([1, 1, 1, 0]))
    assert (found.lost, found.won, found.images) == (("003",), ("001", "002"), 4)
    assert (found.only_before, found.only_after) == (1, 2)
    assert found.difference.value == pytest.approx(0.25)
    assert found.same_images
    assert not found.settled


@settings(deadline=None)  # three bootstraps
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.randoms())
def test_the_order_of_the_tables_is_all_the_same(pairs, random):
    before, after = (list(column) for column in zip(*pairs, strict=True))
    places = list(range(len(after)))
    random.shuffle(places)
    shuffled = Marks(
        [f"{place:03d}" for place in places],
        ["a"] * len(places),
        np.array([after[place] for place in places], bool),
    )
    found = answers_changed(_marks(before), shuffled)
    assert found == answers_changed(_marks(before), _marks(after))
    assert found.difference == paired_bootstrap(np.array(before), np.array(after))
    assert found.p_value == mcnemar(np.array(before), np.array(after)).p_value


def test_a_clear_gain_is_settled():
    found = answers_changed(_marks([0] * 50), _marks([1] * 50))
    assert found.settled
    assert found.difference == Estimate(1.0, 1.0, 1.0)


def test_the_bootstrap_alone_settles_nothing_that_the_exact_test_does_not():
    found = answers_changed(_marks([0] * 4 + [1] * 26), _marks([1] * 30))
    assert found.difference.low > 0
    assert found.p_value == 0.125
    assert not found.settled
    six = answers_changed(_marks([0] * 6 + [1] * 24), _marks([1] * 30))
    assert (six.p_value, six.settled) == (0.03125, True)


def test_several_trainings_count_by_the_share_of_them_that_is_right():
    before = _marks([0, 1 / 3, 1, 2 / 3])
    found = answers_changed(before, _marks([1 / 3, 1, 1, 1 / 3]))
    assert found.difference.value == pytest.approx((1 / 3 + 2 / 3 - 1 / 3) / 4)
    assert (found.only_before, found.only_after) == (1, 2)
    assert found.p_value == 1.0
    assert found.classes[0].before == pytest.approx(0.5)


def test_only_images_that_both_answered_are_paired():
    found = answers_changed(_marks([0, 0, 1, 1]), _marks([1, 1, 1], first=1))
    assert (found.images, found.only_after, found.same_images) == (3, 1, False)
    assert found.classes[0].n == 3


def test_without_common_images_nothing_is_known():
    found = answers_changed(_marks([1, 0]), _marks([1, 1], first=5))
    assert (found.images, found.p_value, found.settled) == (0, 1.0, False)
    assert found.difference == Estimate(0.0, -1.0, 1.0)
    assert [(row.before, row.after) for row in found.classes] == [(0.5, 1.0)]


def test_images_of_another_class_are_not_the_same():
    assert not answers_changed(_marks([1], ["a"]), _marks([1], ["b"])).same_images


def test_recall_changes_name_the_classes_that_both_know_the_biggest_gain_first():
    before = _marks([1, 0, 1, 1], ["a", "a", "b", "c"])
    after = _marks([1, 1, 0, 1], ["a", "a", "b", "d"])
    found = answers_changed(before, after).classes
    assert [(row.name, row.before, row.after, row.n) for row in found] == [
        ("a", 0.5, 1.0, 2), ("b", 1.0, 0.0, 1),
    ]  # fmt: skip
    assert [row.change for row in found] == [0.5, -1.0]


def test_predictions_are_marked_answers():
    right = Predictions((Prediction("000", "a", ("a", "b"), (0.6, 0.4)),))
    found = answers_changed(_marks([0]), right)
    assert (found.only_after, found.same_images) == (1, True)
