from __future__ import annotations

import keras
import numpy as np
import pytest

from cars_bench.training.fused_update import fused

SHAPES = ((5, 3), (3,), (4, 4, 2))


def moved(kind: type[keras.optimizers.Optimizer], **options: object) -> list[np.ndarray]:
    """Weights, and their running averages where there are some, after four updates."""
    rng = np.random.default_rng(0)
    weights = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES]
    optimizer = kind(0.05, **options)
    for step in range(4):
        optimizer.learning_rate = 0.05 / (step + 1)
        grads = [keras.ops.convert_to_tensor(np.cos(np.array(item))) for item in weights]
        optimizer.apply(grads, weights)
    return [np.array(item) for item in (*weights, *optimizer.variables)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9}),
        ("Adam", {"global_clipnorm": 0.5}),
        ("AdamW", {"weight_decay": 0.1, "use_ema": True, "ema_momentum": 0.8}),
    ],
)
def test_a_compiled_update_moves_the_weights_as_the_optimizer_does(name, options):
    kind = getattr(keras.optimizers, name)
    for own, plain in zip(moved(fused(kind), **options), moved(kind, **options), strict=True):
        np.testing.assert_allclose(own, plain, rtol=2e-6, atol=1e-7)


def test_only_tensorflow_needs_it(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert fused(keras.optimizers.Adam) is keras.optimizers.Adam
