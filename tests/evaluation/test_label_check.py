from __future__ import annotations

import time

import numpy as np
import pytest

from cars_bench.evaluation import label_check
from cars_bench.evaluation.label_check import FEWEST, leave_one_out, standardised, suspects

CLASSES = 6


def drawn(images=240, width=40, wrong=8, spread=0.8, seed=0):
    """Features in clusters, labels of which a few are wrong, and which those are."""
    generator = np.random.default_rng(seed)
    true = np.arange(images) % CLASSES
    x = generator.normal(size=(CLASSES, width))[true] + generator.normal(0, spread, (images, width))
    planted = generator.choice(images, wrong, replace=False)
    given = true.copy()
    given[planted] = (true[planted] + generator.integers(1, CLASSES, wrong)) % CLASSES
    return x.astype(np.float32), given, true, planted


@pytest.mark.parametrize("width", [40, 500])
def test_planted_wrong_labels_rank_on_top_with_the_class_they_show(width):
    x, given, true, planted = drawn(width=width)
    found = suspects(leave_one_out(x, given, CLASSES).probabilities, given)
    first = found[: len(planted)]
    assert {item.row for item in first} == set(planted)
    assert all(item.suggested == true[item.row] for item in first)
    assert all(item.probability > item.given_probability for item in found)
    assert any(item.confident for item in first)


def test_clean_labels_that_are_told_apart_are_not_suspected():
    x, given, _, _ = drawn(wrong=0, spread=0.2)
    assert suspects(leave_one_out(x, given, CLASSES).probabilities, given) == ()


@pytest.mark.parametrize("shape", [(60, 8), (60, 90)])
def test_leaving_one_out_in_closed_form_is_training_without_it(monkeypatch, shape):
    """Against ridge regression with an intercept, fitted anew without the image."""
    monkeypatch.setattr(label_check, "PENALTIES", (0.3,))
    monkeypatch.setattr(label_check, "_calibrated", lambda scores, labels: scores)
    generator = np.random.default_rng(1)
    x, labels = generator.normal(size=shape), generator.integers(0, 3, shape[0])
    said = leave_one_out(x, labels, 3).probabilities
    unit, targets = standardised(x).astype(float), np.eye(3)[labels]
    for row in (0, 17, 59):
        rest = np.arange(len(x)) != row
        mean, offset = targets[rest].mean(0), unit[rest].mean(0)
        gram = (unit[rest] - offset).T @ (unit[rest] - offset) + 0.3 * len(x) * np.eye(shape[1])
        weights = np.linalg.solve(gram, (unit[rest] - offset).T @ (targets[rest] - mean))
        np.testing.assert_allclose(said[row], mean + (unit[row] - offset) @ weights, atol=2e-3)


def test_probabilities_are_calibrated_to_what_is_right():
    x, given, _, _ = drawn(images=1200, spread=3.0, wrong=0)
    found = leave_one_out(x, given, CLASSES).probabilities
    np.testing.assert_allclose(found.sum(axis=1), 1)
    right = (found.argmax(axis=1) == given).mean()
    assert found.max(axis=1).mean() == pytest.approx(right, abs=0.06)


def test_confident_is_what_is_above_the_mean_of_its_class():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.3, 0.7], [0.25, 0.75]])
    labels = np.array([0, 0, 0, 1, 1])
    (found,) = suspects(probabilities, labels)
    assert (found.row, found.given, found.suggested, found.confident) == (2, 0, 1, True)
    probabilities[2] = [0.4, 0.6]
    (found,) = suspects(probabilities, labels)
    assert not found.confident, "likelier than not, but less than its class reaches"


def test_a_class_of_too_few_images_is_not_judged():
    x, given, _, _ = drawn(wrong=0)
    given[: FEWEST - 1] = CLASSES
    found = suspects(leave_one_out(x, given, CLASSES + 1).probabilities, given)
    assert not any(item.given == CLASSES for item in found)


@pytest.mark.slow
def test_thousands_of_images_take_seconds():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(6500, 1280)).astype(np.float32)
    begun = time.monotonic()
    leave_one_out(x, generator.integers(0, 196, 6500), 196)
    assert time.monotonic() - begun < 30
