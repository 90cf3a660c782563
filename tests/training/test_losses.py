"""Losses against their formulas, and the optimizers a spec asks for."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from cars_bench.training.losses import build_loss, build_optimizer
from cars_bench.training.specs import TrainingSpec

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
