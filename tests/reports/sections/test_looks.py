from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.reports.pictures import Thumbnails
from cars_bench.reports.sections.looks import facts, figure, share_inside
from tests.reports.changes import with_card


def test_errors_stand_first_and_the_share_in_the_box_is_averaged(finished):
    found = facts(finished)
    assert found is not None
    assert found.errors
    assert not any(look.right for look in found.errors)
    assert found.in_box_right.value == pytest.approx(1.0)
    assert 0 < found.in_box_wrong.value < 0.2
    assert 0.3 < found.box_area < 0.6


def test_pictures_are_drawn_for_the_errors_and_always_the_same(finished):
    found = facts(finished)
    drawn = figure(found, finished.dataset, Thumbnails(finished.dataset, 10**6))
    assert set(drawn) == {look.image_id for look in found.errors}
    assert all(plain != hot for plain, hot in drawn.values())
    assert drawn == figure(found, finished.dataset, Thumbnails(finished.dataset, 10**6))


def test_cropped_images_have_no_box_to_hold_the_heat_against(finished):
    found = facts(with_card(finished, crop="boxes"))
    assert (found.in_box_right, found.box_area) == (None, None)


def test_without_heat_or_images_nothing_is_said(finished):
    bare = replace(finished, heatmaps=None)
    assert facts(bare) is None
    assert facts(replace(finished, dataset=None)) is None


def test_half_a_cell_counts_half():
    heat = np.array([[1.0, 1.0], [0.0, 2.0]])
    assert share_inside(heat, (0.0, 0.0, 0.25, 1.0)) == pytest.approx(0.125)
    assert share_inside(heat, (0.5, 0.5, 1.0, 1.0)) == pytest.approx(0.5)
    assert share_inside(np.zeros((2, 2)), (0.0, 0.0, 1.0, 1.0)) == 0.0


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).map(sorted))
def test_even_heat_scores_the_area_of_the_box(edges):
    left, top, right, bottom = edges[0], edges[1], edges[2], edges[3]
    share = share_inside(np.ones((7, 5)), (left, top, right, bottom))
    assert share == pytest.approx((right - left) * (bottom - top), abs=1e-9)
