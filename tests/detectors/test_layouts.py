"""Covers `cars_bench/detectors/layouts.py`: outputs are told apart by what they look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cars_bench.data.detection import iou
from cars_bench.detectors.layouts import Found, Output, layout_of, suppressed
from cars_bench.errors import InputError

VGA = (640, 640)
BOX = Output("boxes", (None, 4))
LABEL = Output("labels", (None,), whole=True)
SCORE = Output("scores", (None,))


@pytest.mark.parametrize(
    ("outputs", "classes"),
    [
        ([Output("output", (1, 25200, 85))], 80),
        ([Output("output", (1, 25200, 6))], 1),
        ([Output("output", (1, 25500, 6))], 1),
        ([Output("output0", (1, 84, 8400))], 80),
        ([Output("output0", (1, 5, 8400))], 1),
        ([Output("output0", (1, 6, 8400))], 2),
        ([Output("output0", (1, 605, 8400))], 601),
        ([Output("output0", (1, 300, 6))], None),
        ([Output("output0", (1, None, 6))], None),
        ([BOX, LABEL, SCORE], None),
    ],
)
def test_a_layout_tells_how_many_classes_it_knows(outputs, classes):
    layout = layout_of(outputs, VGA)
    assert layout is not None
    assert layout.classes == classes


@pytest.mark.parametrize(
    ("outputs", "places"),
    [
        ([BOX, LABEL, SCORE], (0, 2, 1)),
        ([SCORE, LABEL, BOX], (2, 0, 1)),
        ([Output("9", (None, 4)), Output("7", (None,), whole=True), Output("8", (None,))],
         (0, 2, 1)),
        ([Output("pred_boxes", (None, 4)), Output("pred_classes", (None,), whole=True),
          Output("scores", (None,)), Output("image_size", (2,), whole=True)], (0, 2, 1)),
        ([Output("detection_anchor_indices", (1, 100)), Output("detection_boxes", (1, 100, 4)),
          Output("detection_classes", (1, 100)), Output("detection_multiclass_scores",
          (1, 100, 91)), Output("detection_scores", (1, 100)), Output("num_detections", (1,)),
          Output("raw_detection_boxes", (1, 1917, 4)),
          Output("raw_detection_scores", (1, 1917, 91))], (1, 4, 2)),
        ([Output("boxes", (None, 4)), LABEL, SCORE, Output("masks", (None, 1, 28, 28))],
         (0, 2, 1)),
    ],
)  # fmt: skip
def test_boxes_scores_and_labels_are_found_among_other_outputs(outputs, places):
    layout = layout_of(outputs, VGA)
    assert layout is not None
    assert layout.outputs == places


@pytest.mark.parametrize(
    "outputs",
    [
        [Output("out", ())],
        [Output("logits", (1, 1000))],
        [Output("out", (2, 25200, 85))],
        [Output("out", (1, 4, 100))],
        [Output("out", (1, 84, None))],
        [Output("output0", (1, 116, 8400)), Output("output1", (1, 32, 160, 160))],
        [BOX, SCORE],
        [Output("boxes", (1, 4420, 4)), Output("scores", (1, 4420, 2))],
    ],
)
def test_what_is_of_no_known_layout_is_not_guessed_at(outputs):
    assert layout_of(outputs, VGA) is None


@pytest.mark.parametrize("score", [3.5, -0.5])
def test_scores_that_are_no_probabilities_are_refused(score):
    layout = layout_of([Output("out", (1, 300, 6))], VGA)
    with pytest.raises(InputError, match="not within 0 to 1"):
        layout.read([np.array([[[10, 10, 99, 99, score, 0]]])])


@pytest.mark.parametrize(
    "row",
    [
        [np.nan, 10, 99, 99, 0.9, 0],
        [np.inf, 10, 99, 99, 0.9, 0],
        [10, 10, 99, 99, np.nan, 0],
        [99, 10, 10, 99, 0.9, 0],
        [10, 10, 10, 99, 0.9, 0],
        [10, 10, 99, 99, 0.9, -1],
        [10, 10, 99, 99, 0.01, 0],
    ],
)
def test_what_is_no_box_is_passed_over(row):
    layout = layout_of([Output("out", (1, None, 6))], VGA)
    found = layout.read([np.array([[row, [10, 10, 99, 99, 0.5, 3]]])])
    assert (len(found.boxes), found.labels.tolist()) == (1, [3])
    assert not len(layout.read([np.zeros((1, 0, 6))]).boxes)


corners = arrays(np.float64, (12, 2), elements=st.integers(0, 60))


@settings(max_examples=60, deadline=None)
@given(low=corners, sides=corners, labels=arrays(np.int64, 12, elements=st.integers(0, 1)))
def test_of_overlapping_boxes_of_a_class_only_the_surest_stays(low, sides, labels):
    boxes = np.concatenate([low, low + sides + 1], axis=1)
    scores = np.linspace(0.9, 0.1, 12)
    kept = suppressed(Found(boxes, scores, labels))
    rows = [scores.tolist().index(score) for score in kept.scores]
    for row in range(12):
        rivals = [
            other
            for other in rows
            if labels[other] == labels[row] and iou(boxes[other], boxes[row]) > 0.5
        ]
        surest = min(rivals, default=row)
        assert surest == row if row in rows else surest < row
