"""The confusion matrix and what is read off it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.evaluation.confusion import (
    ConfusedPair,
    confusion_matrix,
    macro_accuracy,
    most_confused,
    per_class_recall,
)

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


def test_most_confused_pairs_come_first():
    assert most_confused(MATRIX) == [
        ConfusedPair(0, 1, 2, 0.5),
        ConfusedPair(1, 0, 1, 0.5),
        ConfusedPair(0, 2, 1, 0.25),
    ]
    assert len(most_confused(MATRIX, 1)) == 1


def test_recall_skips_classes_without_images():
    recalls = per_class_recall(MATRIX)
    assert [(row.label, row.recall.value, row.n) for row in recalls] == [
        (0, 0.25, 4), (1, 0.5, 2), (2, 1.0, 1),
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
