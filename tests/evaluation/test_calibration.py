"""Reliability, the expected calibration error, and the temperature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.evaluation.calibration import (
    Temperature,
    best_temperature,
    calibration,
    calibration_of,
    error_by_chance,
    expected_calibration_error,
    fitted_temperature,
    log_loss,
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
    [(0.46, "under-confident"), (0.95, "over-confident"), (0.74, "well calibrated")],
)
def test_the_direction_compares_mean_sureness_with_the_interval_of_accuracy(sure, direction):
    found = calibration(np.full(100, sure), np.arange(100) < 76)
    assert found.direction == direction
    assert found.right.value == 0.76
    assert found.sure == pytest.approx(sure)
    assert found.expected_calibration_error == pytest.approx(abs(0.76 - sure))
    assert sum(row.n for row in found.reliability) == 100


def test_a_large_error_is_never_praised_however_well_the_means_agree():
    # 55 of 100 are right whatever it says, and it says 55 on average
    sure = np.repeat([0.95, 0.55, 0.15], [300, 400, 300])
    right = np.concatenate([np.arange(300) < 165, np.arange(400) < 220, np.arange(300) < 165])
    found = calibration(sure, right)
    assert found.sure == pytest.approx(found.right.value, abs=1e-9)
    assert found.expected_calibration_error == pytest.approx(0.24)
    assert found.expected_calibration_error > found.chance
    assert found.direction == "as sure as right on average, but not at each probability"


def test_few_images_show_an_error_by_chance_that_is_said_to_be_so():
    generator = np.random.default_rng(3)
    sure = generator.uniform(0.3, 1, 30)
    found = calibration(sure, generator.random(30) < sure)
    assert 0.05 < found.expected_calibration_error < found.chance
    assert found.direction == "not to be told from a calibrated one on so few images"


def test_chance_holds_95_of_100_calibrated_models_and_shrinks_with_images():
    sure = np.random.default_rng(0).uniform(0.2, 1, 400)
    chance = error_by_chance(sure)
    drawn = np.random.default_rng(1)
    errors = [
        calibration(sure, drawn.random(400) < sure).expected_calibration_error for _ in range(100)
    ]
    assert 88 <= sum(error <= chance for error in errors) <= 100
    assert error_by_chance(sure[:40]) > 2 * chance


def _drawn(images: int = 3000, classes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Logits that know their chances, and labels drawn from them."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (images, classes)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return logits, (shares.cumsum(1) < generator.random((images, 1))).sum(1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature):
    logits, labels = _drawn()
    fitted = fitted_temperature(logits * temperature, labels)
    assert fitted.value == pytest.approx(temperature, rel=0.05)
    assert fitted.images == 3000
    assert fitted.after["val"].expected_calibration_error < 0.03
    if temperature != 1:
        before = fitted.before["val"].expected_calibration_error
        assert before > 2 * fitted.after["val"].expected_calibration_error


@given(st.integers(0, 10_000), st.floats(0.02, 50))
def test_labels_are_never_less_likely_than_at_temperature_one_and_no_answer_changes(seed, scale):
    generator = np.random.default_rng(seed)
    logits = (generator.normal(size=(20, 4)) * scale).astype(np.float32)
    labels = generator.integers(0, 4, 20)
    value = best_temperature(logits, labels)
    assert log_loss(logits / value, labels) <= log_loss(logits, labels)
    fitted = Temperature(value=value, images=20, before={}, after={})
    assert (fitted.applied(logits).argmax(1) == logits.argmax(1)).all()
    measured = fitted.measured("val", logits, labels)
    assert measured.after["val"].right == measured.before["val"].right


def test_where_every_answer_is_right_no_temperature_is_best():
    assert fitted_temperature(np.eye(3) * 2, np.arange(3)) is None


def test_a_temperature_fitted_on_validation_is_measured_on_test():
    logits, labels = _drawn()
    fitted = fitted_temperature(3 * logits[:1500], labels[:1500])
    both = fitted.measured("test", 3 * logits[1500:], labels[1500:])
    assert (both.value, list(both.after)) == (fitted.value, ["val", "test"])
    assert both.after["test"].expected_calibration_error < 0.04
    assert both.before["test"] == calibration_of(3 * logits[1500:], labels[1500:])


def test_log_loss_by_hand():
    assert log_loss(np.log([[0.2, 0.8], [0.5, 0.5]]), np.array([1, 0])) == pytest.approx(
        -(np.log(0.8) + np.log(0.5)) / 2
    )
    assert np.isfinite(log_loss(np.array([[1e4, -1e4]]), np.array([1])))
