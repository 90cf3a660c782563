"""Trainings on made-up features; run as a script it prints what one backend makes of them."""

from __future__ import annotations

import json
from unittest import mock

import numpy as np

from cars_bench.training import engine
from cars_bench.training.engine import Examples, logits_of
from cars_bench.training.heads import build_head
from cars_bench.training.loop import TrainingControl, train
from cars_bench.training.specs import DenseLayer, HeadSpec, Schedule, TrainingSpec

WIDTH, CLASSES, VIEWS = 10, 4, 3
LINEAR = {
    "adam": (HeadSpec(), TrainingSpec(batch_size=16, epochs=4, learning_rate=0.02)),
    "averaged": (
        HeadSpec(),
        TrainingSpec(
            optimizer="adamw",
            learning_rate=0.02,
            batch_size=16,
            epochs=4,
            averaging=0.8,
            patience_epochs=0,
        ),
    ),
    "everything": (
        HeadSpec(normalisation="batch", l2=1e-3),
        TrainingSpec(
            optimizer="sgd",
            learning_rate=0.1,
            schedule=Schedule(kind="triangular", cycle_epochs=2),
            batch_size=24,
            epochs=4,
            loss="focal",
            label_smoothing=0.1,
            sampling="balanced",
            mixup=0.3,
            clip_norm=1.0,
        ),
    ),
}
HIDDEN = HeadSpec(layers=(DenseLayer(16, batch_norm=True, dropout=0.3),), dropout=0.2, noise=0.1)
MIXED = TrainingSpec(batch_size=16, epochs=6, learning_rate=0.01, mixup=0.2, patience_epochs=0)


def examples(count: int, seed: int, views: int = VIEWS) -> Examples:
    """Four noisy clusters, float16."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 1, (CLASSES, WIDTH))
    labels = np.arange(count) % CLASSES
    noise = rng.normal(0, 1, (count, views, WIDTH))
    return Examples((centres[labels][:, None] + noise).astype(np.float16), labels)


def train_set() -> Examples:
    return examples(90, 0)


def val_set() -> Examples:
    return examples(50, 1, 1)


def trained(head: HeadSpec, training: TrainingSpec, **control):
    """The state a training ends with, and the head's logits of the validation images."""
    model = build_head(head, (WIDTH,), CLASSES, seed=1)
    validation = val_set()
    state = train(model, training, train_set(), validation, 5, TrainingControl(**control))
    return state, logits_of(model, validation.x)


def chunked_difference() -> float:
    """Largest difference in logits between kept and chunked activations."""
    _, resident = trained(HIDDEN, MIXED)
    with mock.patch.multiple(engine, RESIDENT_BYTES=0, CHUNK_BYTES=700):
        _, chunked = trained(HIDDEN, MIXED)
    return float(np.abs(resident - chunked).max())


def resumed_difference() -> float:
    """Largest difference in logits between an uninterrupted and a resumed training."""
    kept = {}

    def keep(row, position):
        if row.epoch == 3:
            kept["position"] = position()

    _, whole = trained(HIDDEN, MIXED, on_epoch=keep)
    _, resumed = trained(HIDDEN, MIXED, start=kept["position"])
    return float(np.abs(whole - resumed).max())


def main() -> None:
    said = {}
    for name, (head, training) in LINEAR.items():
        position, logits = trained(head, training)
        losses = [(row.train_loss, row.val_loss) for row in position.history]
        said[name] = {"losses": losses, "logits": logits.tolist()}
    document = {"chunked": chunked_difference(), "resumed": resumed_difference(), "linear": said}
    print(json.dumps(document))


if __name__ == "__main__":
    main()
