"""Losses against their formulas, and the optimizers a spec asks for."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from cars_bench.training.heads import build_head
from cars_bench.training.losses import UPDATE_STEP, build_loss, build_optimizer
from cars_bench.training.specs import HeadSpec, TrainingSpec

LOGITS = np.random.default_rng(0).normal(0, 2, (6, 5)).astype(np.float32)
TARGETS = np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 4, 0]]
WEIGHTS = np.array([0.25, 0.25, 0.25, 0.25, 0.0, 0.0], np.float32)


def measured(**options) -> float:
    loss = build_loss(TrainingSpec(**options))
    return float(ops.convert_to_numpy(loss(TARGETS, LOGITS, sample_weight=WEIGHTS)))


def probabilities() -> np.ndarray:
    shifted = np.exp(LOGITS.astype(np.float64))
    return shifted / shifted.sum(1, keepdims=True)


def test_cross_entropy_is_the_weighted_mean_of_minus_log_p():
    expected = -(TARGETS * np.log(probabilities())).sum(1) @ WEIGHTS
    assert measured() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.05, 0.2])
def test_label_smoothing_spreads_its_share_over_all_classes(smoothing):
    soft = TARGETS * (1 - smoothing) + smoothing / 5
    expected = -(soft * np.log(probabilities())).sum(1) @ WEIGHTS
    assert measured(label_smoothing=smoothing) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_focal_loss_follows_lin_2017(gamma):
    p = (TARGETS * probabilities()).sum(1)
    expected = (-((1 - p) ** gamma) * np.log(p)) @ WEIGHTS
    assert measured(loss="focal", focal_gamma=gamma) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("sure", "times"), [(0.5, 4), (0.9, 100), (1 - 1000**-0.5, 1000)])
def test_focal_loss_weighs_easy_images_less_by_the_published_factor(sure, times):
    """Lin et al. 2017: at gamma 2, 100 times less for an image that is 0.9 sure."""
    logits = np.log([[sure, 1 - sure]]).astype(np.float32)
    target = np.array([[1, 0]], np.float32)
    plain, focal = (
        float(ops.convert_to_numpy(build_loss(TrainingSpec(**options))(target, logits)))
        for options in ({}, {"loss": "focal", "focal_gamma": 2.0})
    )
    assert plain / focal == pytest.approx(times, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "Adam"), ({"optimizer": "adamw", "weight_decay": 0.1}, "AdamW"),
     ({"optimizer": "sgd", "clip_norm": 1.0}, "SGD")],
)  # fmt: skip
def test_the_optimizer_is_the_one_asked_for(options, name):
    optimizer = build_optimizer(TrainingSpec(learning_rate=0.02, **options))
    assert type(optimizer).__name__ == name
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.02)
    assert (optimizer.global_clipnorm or 0.0) == options.get("clip_norm", 0.0)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_keras_still_has_the_private_method_that_two_rates_override(kind):
    step = getattr(getattr(keras.optimizers, kind), UPDATE_STEP)
    assert list(inspect.signature(step).parameters) == [
        "self", "grads", "trainable_variables", "learning_rate",
    ]  # fmt: skip


def test_keras_still_calls_it_so_what_is_below_the_head_moves_at_its_own_rate():
    inputs = keras.Input((3,))
    below = keras.layers.Dense(4, name="below")
    model = keras.Model(inputs, build_head(HeadSpec(), (4,), 2)(below(inputs)))
    spec = TrainingSpec(optimizer="sgd", learning_rate=0.5, momentum=0.0, backbone_rate=0.1)
    optimizer = build_optimizer(spec, model)
    before = [np.array(item) for item in model.trainable_variables]
    optimizer.apply([ops.ones(item.shape) for item in before], model.trainable_variables)
    for item, old in zip(model.trainable_variables, before, strict=True):
        moved = 0.05 if item.path.startswith("below") else 0.5
        np.testing.assert_allclose(old - np.array(item), moved, rtol=1e-5)
