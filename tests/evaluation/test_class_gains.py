from __future__ import annotations

import numpy as np
import pytest

from cars_bench.evaluation.class_gains import class_gains, last_doubling


def drawn(train=16, judged=40, classes=4, hard=(3,), seed=1):
    """Clusters; the hard classes lie so close together that they need pictures to be told."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, 60)) * 1.6
    for label in hard:
        centres[label] = centres[0] + generator.normal(size=60) * 0.45
    labels = np.repeat(np.arange(classes), train + judged)
    x = centres[labels] + generator.normal(0, 1.0, (len(labels), 60))
    taught = np.tile(np.arange(train + judged) < train, classes)
    return x.astype(np.float32), labels, taught


def test_the_class_that_more_pictures_help_stands_first():
    found = last_doubling(*drawn(), penalty=0.3)
    assert found.n == 160
    assert found.half < found.whole
    assert found.gain.value == pytest.approx(found.whole - found.half)
    assert found.classes[0].label == 3
    assert found.classes[0].gain.low > 0
    assert not found.alike
    assert all(item.n == 40 for item in found.classes)


def test_the_same_features_give_the_same_answer():
    assert last_doubling(*drawn(), penalty=0.3) == last_doubling(*drawn(), penalty=0.3)


def test_what_cannot_be_halved_or_judged_says_nothing():
    x, labels, _ = drawn(train=1)
    first = np.tile(np.arange(41) < 1, 4)
    assert last_doubling(x, labels, first, 0.3) is None
    assert last_doubling(x, labels, np.ones(len(x), bool), 0.3) is None


def test_classes_that_differ_by_chance_alone_are_all_expected_to_gain_the_same():
    generator = np.random.default_rng(2)
    changes = generator.choice([0.0, 0.0, 0.0, 1.0], size=200)
    changes = changes.reshape(10, 20)
    changes += changes.mean() - changes.mean(axis=1, keepdims=True)
    found, alike = class_gains(changes.ravel(), np.repeat(np.arange(10), 20))
    assert alike
    assert {round(item.gain.value, 6) for item in found} == {round(float(changes.mean()), 6)}


def test_few_images_are_drawn_towards_the_mean_more_than_many():
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), [5, 200] * 10)
    truth = np.where(np.arange(20) // 2 % 2 == 0, 0.4, 0.0)
    changes = truth[labels] + generator.normal(0, 0.5, len(labels))
    found, alike = class_gains(changes, labels)
    assert not alike
    width = {item.n: item.gain.high - item.gain.low for item in found}
    assert width[5] > width[200]
    assert all(item.gain.low <= item.gain.value <= item.gain.high for item in found)


@pytest.mark.parametrize("labels", [np.zeros(6, int), np.arange(6)])
def test_one_class_and_one_image_a_class_are_no_trouble(labels):
    found, _ = class_gains(np.array([0.0, 1, 0, 0, 1, 0]), labels)
    assert len(found) == len(set(labels))
