"""The confusion matrix and what is read off it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.evaluation.confusion import (
    Mistake,
    clustered_order,
    confused_pairs,
    confusion_matrix,
    macro_accuracy,
    mistakes,
    mutual_pairs,
    per_class_recall,
)
from cars_bench.evaluation.predictions import Prediction

LABELS = [0, 0, 0, 0, 1, 1, 2]
ANSWERS = [0, 1, 1, 2, 1, 0, 2]
MATRIX = confusion_matrix(np.array(LABELS), np.array(ANSWERS), 4)


def test_rows_are_true_classes():
    assert MATRIX.tolist() == [[1, 2, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40))
def test_every_image_is_counted_once(pairs):
    labels, answers = np.array(pairs, np.int64).reshape(-1, 2).T
    matrix = confusion_matrix(labels, answers, 5)
    assert matrix.sum() == len(pairs)
    assert matrix.diagonal().sum() == (labels == answers).sum()


@pytest.mark.parametrize(("labels", "answers"), [([4], [0]), ([0], [-1]), ([0, 1], [0])])
def test_labels_out_of_range_are_refused(labels, answers):
    with pytest.raises(ValueError, match=r"outside 0\.\.3|answers"):
        confusion_matrix(np.array(labels), np.array(answers), 4)


def _rows(*answers):
    """Images named by their place: (true class, answer, probability)."""
    return [
        Prediction(f"{place}.png", true, (answer, "rest"), (chance, 0.0))
        for place, (true, answer, chance) in enumerate(answers)
    ]


ROWS = _rows(
    *[("a", "b", 0.6), ("a", "b", 0.9), ("b", "a", 0.8)],
    *[("b", "b", 0.9), ("c", "a", 0.4), ("a", "a", 1.0)],
)
SIZES = {"a": 3, "b": 2, "c": 1}


def test_mistakes_are_the_wrong_answers_the_most_confident_first():
    assert [(item.image_id, item.probability) for item in mistakes(ROWS)] == [
        ("1.png", 0.9), ("2.png", 0.8), ("0.png", 0.6), ("4.png", 0.4),
    ]  # fmt: skip
    equal = mistakes(reversed(_rows(("a", "b", 0.5), ("a", "c", 0.5))))
    assert [item.image_id for item in equal] == ["0.png", "1.png"]


def test_a_mistake_tells_what_the_truth_was_given():
    told = Prediction("1.png", "a", ("b", "a"), (0.7, 0.2))
    untold = Prediction("2.png", "z", ("b", "a"), (0.6, 0.2))
    assert mistakes([told, untold]) == (
        Mistake(image_id="1.png", true="a", predicted="b", probability=0.7, given=0.2),
        Mistake(image_id="2.png", true="z", predicted="b", probability=0.6, given=None),
    )


def test_most_confused_pairs_come_first():
    pairs = confused_pairs(mistakes(ROWS), SIZES)
    assert [(pair.true, pair.predicted, pair.count, pair.of) for pair in pairs] == [
        ("a", "b", 2, 3), ("c", "a", 1, 1), ("b", "a", 1, 2),
    ]  # fmt: skip
    assert [pair.share for pair in pairs] == pytest.approx([2 / 3, 1, 1 / 2])


def test_a_pairs_pictures_begin_with_the_most_confident_error():
    assert confused_pairs(mistakes(ROWS), SIZES)[0].images == ("1.png", "0.png")


def test_both_directions_of_a_pair_count_together():
    first, second = mutual_pairs(confused_pairs(mistakes(ROWS), SIZES))
    assert (first.true, first.predicted, first.count, first.back, first.of) == ("a", "b", 2, 1, 3)
    assert first.images == ("1.png", "0.png")
    assert (second.true, second.count, second.back) == ("c", 1, 0)


def test_two_classes_equally_confused_make_one_pair():
    rows = _rows(("a", "b", 0.5), ("b", "a", 0.5))
    (only,) = mutual_pairs(confused_pairs(mistakes(rows), {"a": 1, "b": 1}))
    assert (only.true, only.count, only.back) == ("b", 1, 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=30))
def test_the_pairs_hold_every_mistake_once(answers):
    rows = _rows(*((true, answer, 0.5) for true, answer in answers))
    wrong = mistakes(rows)
    sizes = {name: sum(row.true == name for row in rows) for name in "abc"}
    pairs = confused_pairs(wrong, sizes)
    assert sorted(image for pair in pairs for image in pair.images) == sorted(
        item.image_id for item in wrong
    )
    assert sum(pair.count + pair.back for pair in mutual_pairs(pairs)) == len(wrong)


def test_recall_skips_classes_without_images():
    recalls = per_class_recall(MATRIX, ["a", "b", "c", "d"])
    assert [(row.name, row.recall.value, row.n) for row in recalls] == [
        ("a", 0.25, 4), ("b", 0.5, 2), ("c", 1.0, 1),
    ]  # fmt: skip
    assert all(row.recall.low <= row.recall.value <= row.recall.high for row in recalls)


def test_macro_accuracy_counts_every_class_the_same():
    found = macro_accuracy(MATRIX)
    assert found.value == pytest.approx((0.25 + 0.5 + 1.0) / 3)
    assert 0 <= found.low < found.value < found.high <= 1
    assert found == macro_accuracy(MATRIX)


def test_macro_accuracy_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no images"):
        macro_accuracy(np.zeros((3, 3), np.int64))


def test_classes_that_are_taken_for_each_other_stand_side_by_side():
    pairs = [(0, 5), (1, 4), (2, 3)]
    right = [(label, label, 8) for label in range(6)]
    wrong = [(a, b, 2) for a, b in pairs] + [(b, a, 1) for a, b in pairs]
    order = clustered_order([*right, *wrong], 6)
    assert sorted(order) == list(range(6))
    assert all(abs(order.index(a) - order.index(b)) == 1 for a, b in pairs)


def test_a_chain_of_mistakes_is_laid_out_as_one():
    chain = [3, 0, 4, 1, 2]
    right = [(label, label, 6) for label in chain]
    wrong = [(a, b, 4) for a, b in pairwise(chain)]
    assert clustered_order([*right, *wrong], 5) in (tuple(chain), tuple(chain[::-1]))


@pytest.mark.parametrize("cells", [[], [(0, 0, 3), (2, 2, 1)]])
def test_without_mistakes_the_labels_stay_in_order(cells):
    assert clustered_order(cells, 3) == (0, 1, 2)


@given(
    st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 6)), st.integers(1, 9), max_size=30)
)
def test_every_class_has_one_place_even_where_it_has_no_image(found):
    cells = [(true, said, count) for (true, said), count in found.items()]
    assert sorted(clustered_order(cells, 7)) == list(range(7))
