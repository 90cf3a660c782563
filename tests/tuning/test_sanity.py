"""Checks pass on sound features and fail on what they are there to find."""

from __future__ import annotations

import numpy as np
import pytest

from cars_bench.cache.store import Features
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
    found = [
        sanity.untrained_loss(train_set, CLASSES),
        sanity.strong_l2_raises_loss(train_set, CLASSES),
        sanity.overfits_few(train_set, CLASSES),
        sanity.shuffled_labels_stay_at_chance(train_set, val_set, CLASSES),
    ]
    assert [(item.name, item.passed, item.saw) for item in found if not item.passed] == []
    assert all(item.expected and item.saw for item in found)
