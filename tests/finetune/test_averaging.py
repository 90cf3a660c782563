"""Two rates and averaged weights, on the one training loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.backbones.build import build_backbone
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.unfreeze import apply_unfreeze, parse_unfreeze
from cars_bench.training.checkpoint import TrainingState
from cars_bench.training.engine import Examples
from cars_bench.training.heads import build_head
from cars_bench.training.loop import train
from cars_bench.training.specs import HeadSpec, TrainingSpec

SPEC = TrainingSpec(optimizer="sgd", learning_rate=0.01, momentum=0.0, batch_size=8, epochs=1)
KERNELS = ("block3_conv/kernel", "logits/kernel")


def trained(spec: TrainingSpec) -> tuple[dict[str, np.ndarray], TrainingState]:
    """Change of both kernels, and where the training stands."""
    backbone = build_backbone("tiny", "none", 48)
    apply_unfreeze(backbone, parse_unfreeze("block3", backbone))
    head = build_head(HeadSpec(), (16,), 3)
    head.get_layer("logits").kernel.assign(np.random.default_rng(1).normal(size=(16, 3)))
    model = Assembled(backbone, "avg", head).above("block2")
    before = {item.path: np.array(item) for item in model.trainable_variables}
    x = np.random.default_rng(0).normal(size=(8, 1, *model.input_shape[1:])).astype(np.float32)
    data = Examples(x, np.arange(8) % 3)
    position = train(model, spec, data, None, seed=0)
    return {
        item.path: np.array(item) - before[item.path] for item in model.trainable_variables
    }, position


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_backbone_learns_at_its_own_rate(optimizer: str) -> None:
    spec = replace(SPEC, optimizer=optimizer)
    one, _ = trained(spec)
    two, _ = trained(replace(spec, backbone_rate=0.1))
    conv, logits = KERNELS
    np.testing.assert_allclose(two[logits], one[logits], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(two[conv], 0.1 * one[conv], rtol=1e-3, atol=1e-7)


def test_what_is_kept_is_the_running_average() -> None:
    plain = [trained(replace(SPEC, epochs=count))[0] for count in (1, 2, 3)]
    averaged, position = trained(replace(SPEC, epochs=3, averaging=0.5))
    for path in KERNELS:
        first, second, third = (change[path] for change in plain)
        # Keras begins the average with the weights after the first step.
        expected = 0.5 * (0.5 * first + 0.5 * second) + 0.5 * third
        np.testing.assert_allclose(averaged[path], expected, rtol=1e-3, atol=1e-6)
    assert position.best_epoch == 3


def test_training_goes_on_from_the_weights_and_not_from_their_average() -> None:
    _, plain = trained(replace(SPEC, epochs=3))
    _, averaged = trained(replace(SPEC, epochs=3, averaging=0.9))
    losses = [[row.train_loss for row in at.history] for at in (plain, averaged)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
