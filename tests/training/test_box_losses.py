"""Losses of boxes against numpy and against the papers' own examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cars_bench.evaluation.boxes import ious
from cars_bench.training.box_losses import BEND, giou_loss, smooth_l1
from cars_bench.training.losses import build_loss
from cars_bench.training.specs import TrainingSpec

SHARES = arrays(np.float32, (5, 4), elements=st.floats(0, 1, width=32))


def upright(edges: np.ndarray) -> np.ndarray:
    """Edges put in order, each box with some area."""
    start, end = np.minimum(edges[:, :2], edges[:, 2:]), np.maximum(edges[:, :2], edges[:, 2:])
    return np.concatenate([start, end + 0.01], axis=1)


def numpy_giou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rezatofighi et al. 2019, algorithm 1, one pair of boxes at a time."""
    found = []
    for a, b in zip(one.astype(float), other.astype(float), strict=True):
        area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = area_a + area_b - width * height
        hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
        found.append(1 - (width * height / union - (hull - union) / hull))
    return np.array(found)


@given(SHARES, SHARES)
@settings(max_examples=50, deadline=None)
def test_giou_is_that_of_the_paper(one, other):
    one, other = upright(one), upright(other)
    np.testing.assert_allclose(giou_loss(one, other), numpy_giou(one, other), atol=1e-3)


@given(SHARES, SHARES)
@settings(max_examples=50, deadline=None)
def test_giou_is_between_nothing_for_equal_boxes_and_two(one, other):
    one, other = upright(one), upright(other)
    loss = np.asarray(giou_loss(one, other))
    assert ((loss >= -1e-5) & (loss <= 2 + 1e-5)).all()
    assert (loss >= 1 - ious(one, other) - 1e-4).all()
    np.testing.assert_allclose(giou_loss(one, one), 0, atol=1e-5)


@given(SHARES, SHARES)
@settings(max_examples=50, deadline=None)
def test_smooth_l1_is_a_parabola_near_zero_and_a_line_beyond(one, other):
    far = np.abs(one.astype(float) - other)
    expected = np.where(far < BEND, far**2 / (2 * BEND), far - BEND / 2).sum(axis=1)
    np.testing.assert_allclose(smooth_l1(one, other), expected, atol=1e-5)


@pytest.mark.parametrize("loss", ["smooth_l1", "giou"])
def test_a_box_that_is_not_known_costs_nothing_and_the_others_their_weight(loss):
    spec = TrainingSpec(box_loss=loss, box_weight=3.0)
    said = np.array([[2.0, -1, 0.1, 0.1, 0.5, 0.5], [0, 1, 0.2, 0.2, 0.9, 0.9]], np.float32)
    true = np.array([[1, 0, 0.2, 0.1, 0.6, 0.5], [0, 1, *[np.nan] * 4]], np.float32)
    weight = np.array([0.5, 0.5], np.float32)
    alone = build_loss(spec)(true[:, :2], said[:, :2], sample_weight=weight)
    both = build_loss(spec, 2)(true, said, sample_weight=weight)
    of_box = {"smooth_l1": smooth_l1, "giou": giou_loss}[loss](true[:1, 2:], said[:1, 2:])
    np.testing.assert_allclose(both, np.asarray(alone) + 0.5 * 3.0 * np.asarray(of_box), rtol=1e-5)
