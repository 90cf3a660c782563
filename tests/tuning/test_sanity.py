"""Checks pass on sound features and fail on what they are there to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.cache.store import Features
from cars_bench.errors import CarsBenchError
from cars_bench.tuning import sanity
from tests.training.trainings import CLASSES, examples


def features(count=120, seed=0):
    made = examples(count, seed, 1)
    return Features([str(i) for i in range(count)], made.labels.astype(np.int64), made.x)


def with_x(change):
    made = features()
    return Features(made.image_ids, made.labels, change(np.array(made.x)))


def constant(x):
    x[..., 2:] = 1.0
    return x


def infinite(x):
    x[3, 0, 1] = np.inf
    return x


@pytest.mark.parametrize(
    ("change", "passed"), [(lambda x: x, True), (constant, False), (infinite, False)]
)
def test_features_must_be_finite_and_vary(change, passed):
    assert sanity.features_vary(with_x(change)).passed is passed


def test_ridge_must_be_far_above_chance():
    assert sanity.preprocessing_sane(features(), features(80, 1), CLASSES).passed
    noise = with_x(lambda x: np.random.default_rng(0).normal(size=x.shape).astype(np.float16))
    assert not sanity.preprocessing_sane(noise, features(80, 1), CLASSES).passed


def test_sound_features_pass_what_is_trained():
    train_set, val_set = features(), features(80, 1)
    two = sanity.of_two_classes(train_set)
    found = [
        sanity.untrained_loss(train_set, CLASSES),
        sanity.untrained_loss(two, 2),
        sanity.strong_l2_raises_loss(train_set, CLASSES),
        sanity.overfits(train_set, CLASSES, sanity.FEW),
        sanity.overfits(two, 2, sanity.FEW_OF_TWO),
        sanity.shuffled_labels_stay_at_chance(train_set, val_set, CLASSES),
    ]
    assert [(item.name, item.passed, item.saw) for item in found if not item.passed] == []
    assert all(item.expected and item.saw for item in found)
    sanity.require_passed(found)


@pytest.mark.parametrize(("classes", "loss"), [(2, "0.693"), (196, "5.278")])
def test_the_untrained_loss_is_told_in_both_numbers(classes, loss):
    check = sanity.untrained_loss(features(), max(CLASSES, classes))
    few = sanity.untrained_loss(sanity.of_two_classes(features()), classes)
    assert few.expected.startswith(f"ln {classes} = {loss}")
    assert (few.saw, check.passed) == (loss, True)


@pytest.mark.parametrize(
    "labels", [[0, 1, 1, 2, 2, 2], [2, 2, 2, 0, 3, 3], [1, 1]], ids=["two", "gap", "one class"]
)
def test_the_two_largest_classes_are_taken_and_labelled_anew(labels):
    made = Features(list("abcdef")[: len(labels)], np.array(labels), np.zeros((len(labels), 1, 3)))
    two = sanity.of_two_classes(made)
    kept = [label for label in labels if labels.count(label) > 1]
    assert [kept.index(label) for label in kept] == [
        list(two.labels).index(label) for label in two.labels
    ]
    assert set(two.labels) <= {0, 1}
    assert [labels["abcdef".index(name)] for name in two.image_ids] == kept


@pytest.mark.parametrize("lost", [0.0, 0.5, 1.0])
def test_a_penalty_that_does_not_reach_the_loss_in_full_is_found(monkeypatch, lost):
    real = sanity.build_head

    def weaker(spec, *sizes):
        return real(replace(spec, l2=spec.l2 * (1 - lost)), *sizes)

    monkeypatch.setattr(sanity, "build_head", weaker)
    check = sanity.strong_l2_raises_loss(features(), CLASSES)
    assert check.passed is (lost == 0.0)
    assert " times the 1.386 without" in check.expected


def test_labels_that_say_nothing_are_not_learnt_by_heart():
    same = with_x(np.ones_like)
    assert not sanity.overfits(same, CLASSES, sanity.FEW).passed


def test_a_failed_check_stops_and_is_named():
    checks = [sanity.Check("a", True, "1", "1"), sanity.Check("b", False, "1", "2")]
    with pytest.raises(CarsBenchError, match="1 of 2 checks failed: b"):
        sanity.require_passed(checks)
