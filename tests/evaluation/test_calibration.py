"""Reliability and the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.evaluation.calibration import (
    calibration,
    expected_calibration_error,
    reliability,
)


def test_error_by_hand():
    # 0.9 twice, one right: |0.5 - 0.9| over 2 of 4; 0.6 twice, both right: |1 - 0.6| over 2 of 4
    table = reliability(np.array([0.9, 0.9, 0.6, 0.6]), np.array([1, 0, 1, 1], bool), bins=10)
    assert expected_calibration_error(table) == pytest.approx(0.4)


@pytest.mark.parametrize(("confidence", "place"), [(0.0, 0), (0.5, 4), (0.51, 5), (1.0, 9)])
def test_a_bin_includes_its_upper_end(confidence, place):
    table = reliability(np.array([confidence]), np.array([True]), bins=10)
    assert [row.n for row in table].index(1) == place


def test_fifteen_bins_cover_the_range():
    table = reliability(np.array([]), np.array([], bool))
    assert len(table) == 15
    assert (table[0].low, table[-1].high) == (0.0, 1.0)
    assert expected_calibration_error(table) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_the_table_holds_everyone_and_the_error_stays_in_range(images):
    confidence, correct = (np.array(column) for column in zip(*images, strict=True))
    table = reliability(confidence, correct)
    assert sum(row.n for row in table) == len(images)
    assert sum(row.n * row.accuracy for row in table) == pytest.approx(correct.sum())
    gap = abs(confidence.mean() - correct.mean())
    assert gap - 1e-9 <= expected_calibration_error(table) <= 1


def test_a_model_that_knows_its_chances_is_calibrated():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(size=50_000)
    table = reliability(confidence, generator.uniform(size=50_000) < confidence)
    assert expected_calibration_error(table) < 0.01


@pytest.mark.parametrize("confidence", [[1.5], [-0.1], [np.nan], [0.5, 0.5]])
def test_bad_confidences_are_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        reliability(np.array(confidence), np.array([True]))


@pytest.mark.parametrize(
    ("sure", "direction"),
    [
        (0.46, "under-confident"),
        (0.95, "over-confident"),
        (0.74, "well calibrated on average"),
    ],
)
def test_the_direction_compares_mean_sureness_with_the_interval_of_accuracy(sure, direction):
    found = calibration(np.full(100, sure), np.arange(100) < 76)
    assert found.direction == direction
    assert found.right.value == 0.76
    assert found.sure == pytest.approx(sure)
    assert found.expected_calibration_error == pytest.approx(abs(0.76 - sure))
    assert sum(row.n for row in found.reliability) == 100
