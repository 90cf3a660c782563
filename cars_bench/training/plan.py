"""What one epoch shows the model, decided in numpy before the epoch runs.

All randomness of the data (order, views, mixing partners) is drawn here from
(seed, epoch), so every backend trains on the same batches and a resumed run
sees the ones it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cars_bench.training.specs import TrainingSpec

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EpochPlan:
    """The batches of one epoch; S steps of B images.

    Attributes:
        image: int32 `[S, B]`, index of the image.
        view: int32 `[S, B]`, which of its cached views.
        partner: int32 `[S, B]`, index of the image mixed in.
        partner_view: int32 `[S, B]`.
        mix: float32 `[S, B]`, share of `image`, 1 where nothing is mixed in.
        weight: float32 `[S, B]`, sums to 1 over a batch; 0 fills up the last batch.
    """

    image: Ints
    view: Ints
    partner: Ints
    partner_view: Ints
    mix: Floats
    weight: Floats

    @property
    def steps(self) -> int:
        """Number of batches."""
        return len(self.image)


def plan_epoch(
    spec: TrainingSpec, labels: npt.NDArray[np.int64], views: int, seed: int, epoch: int
) -> EpochPlan:
    """Draw the batches of epoch `epoch`.

    Args:
        spec: Batch size, sampling, views and mixing.
        labels: int64 `[N]`.
        views: Views that the data has.
        seed: The training's seed.
        epoch: From 0.
    """
    rng = np.random.default_rng((seed, epoch))
    count = len(labels)
    order = _balanced(labels, rng) if spec.sampling == "balanced" else rng.permutation(count)
    batch = min(spec.batch_size, count)
    steps = -(-count // batch)
    filled = np.resize(order, steps * batch).reshape(steps, batch)
    real = (np.arange(steps * batch) < count).reshape(steps, batch)
    drawn = min(spec.views, views) if spec.views else views
    view = rng.integers(drawn, size=(2, steps, batch))
    mix = rng.beta(spec.mixup, spec.mixup, (steps, 1)) if spec.mixup else np.ones((steps, 1))
    return EpochPlan(
        image=filled.astype(np.int32),
        view=view[0].astype(np.int32),
        partner=rng.permuted(filled, axis=1).astype(np.int32),
        partner_view=view[1].astype(np.int32),
        mix=np.broadcast_to(mix, filled.shape).astype(np.float32),
        weight=(real / real.sum(1, keepdims=True)).astype(np.float32),
    )


def _balanced(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw as many images as there are, every class with the same probability."""
    counts = np.bincount(labels)
    chances = 1.0 / counts[labels]
    return rng.choice(len(labels), len(labels), p=chances / chances.sum())
