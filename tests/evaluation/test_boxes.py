"""Intersection over union of many boxes, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cars_bench.data.detection import iou
from cars_bench.evaluation.boxes import box_score, ious, ious_by_image, overlap_score
from cars_bench.evaluation.predictions import Predictions, predictions

EDGES = arrays(np.float64, (4, 4), elements=st.integers(0, 40).map(float))


@given(EDGES, EDGES)
@settings(max_examples=60, deadline=None)
def test_many_at_once_are_what_detection_says_of_each_pair(one, other):
    one[:, 2:] += one[:, :2] + 1
    other[:, 2:] += other[:, :2] + 1
    expected = [iou(tuple(a), tuple(b)) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(ious(one, other), expected, atol=1e-12)


def test_boxes_without_area_have_no_overlap():
    point = np.array([[3.0, 3, 3, 3]])
    assert ious(point, point) == [0]


def answered(*boxes: tuple[float, float, float, float]) -> Predictions:
    """Boxes of the images a, b, ..."""
    names = [chr(ord("a") + place) for place in range(len(boxes))]
    return predictions(
        names, np.zeros((len(boxes), 2)), ["x", "y"], [0] * len(boxes), np.array(boxes)
    )


def test_the_score_counts_images_whose_box_is_known():
    said = answered((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10), (5, 5, 6, 6))
    true = {
        "a": (0.0, 0.0, 10.0, 10.0),
        "b": (0.0, 0.0, 10.0, 6.0),
        "c": (0.0, 0.0, 5.0, 5.0),
        "d": None,
    }
    assert ious_by_image(said, true) == pytest.approx({"a": 1.0, "b": 0.6, "c": 0.25})
    score = box_score(said, true)
    assert score is not None
    assert score.n == 3
    assert score.mean_iou.value == pytest.approx((1 + 0.6 + 0.25) / 3)
    assert (score.above_50.value, score.above_75.value) == pytest.approx((2 / 3, 1 / 3))
    assert score.mean_iou.low <= score.mean_iou.value <= score.mean_iou.high
    assert "of 3 images" in score.text


def test_a_score_of_overlaps_is_that_of_the_answers_they_came_from():
    said = answered((0, 0, 10, 10), (0, 0, 10, 8))
    true = {"a": (0.0, 0.0, 10.0, 5.0), "b": (0.0, 0.0, 10.0, 10.0)}
    assert overlap_score(np.array([0.5, 0.8])) == box_score(said, true)
    assert overlap_score(np.array([])) is None


def test_without_any_pair_there_is_no_score():
    assert box_score(answered((0, 0, 1, 1)), {"a": None}) is None
