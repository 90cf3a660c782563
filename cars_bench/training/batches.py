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

EVEN = 0.5


@dataclass(frozen=True)
class EpochBatches:
    """The batches of one epoch; S steps of B images.

    Attributes:
        image: int32 `[S, B]`, index of the image.
        view: int32 `[S, B]`, which of its cached views.
        partner: int32 `[S, B]`, index of the image mixed in.
        partner_view: int32 `[S, B]`.
        mix: float32 `[S, B]`, share of `image`, 1 where nothing is mixed in.
        window: float32 `[S, B, 4]`, the part that `partner` fills instead: top,
            bottom, left and right as fractions of the side; `[S, B, 0]` without.
        weight: float32 `[S, B]`, sums to 1 over a batch; 0 fills up the last batch.
    """

    image: Ints
    view: Ints
    partner: Ints
    partner_view: Ints
    mix: Floats
    window: Floats
    weight: Floats

    @property
    def steps(self) -> int:
        """Number of batches."""
        return len(self.image)

    @property
    def mixes(self) -> bool:
        """Whether any image has another one mixed in."""
        return bool((self.mix < 1).any()) or self.window.shape[-1] > 0


def plan_epoch(
    spec: TrainingSpec, labels: npt.NDArray[np.int64], views: int, seed: int, epoch: int
) -> EpochBatches:
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
    partner = rng.permuted(filled, axis=1)
    mix, window = _windows(spec, mix, rng)
    return EpochBatches(
        image=filled.astype(np.int32),
        view=view[0].astype(np.int32),
        partner=partner.astype(np.int32),
        partner_view=view[1].astype(np.int32),
        mix=np.broadcast_to(mix, filled.shape).astype(np.float32),
        window=np.repeat(window[:, None], batch, axis=1).astype(np.float32),
        weight=(real / real.sum(1, keepdims=True)).astype(np.float32),
    )


def _windows(
    spec: TrainingSpec, mix: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shares `[S, 1]` and windows `[S, 4]` or `[S, 0]` of every batch.

    Where both kinds of mixing are asked for, each batch has one of them.
    """
    steps = len(mix)
    if not spec.cutmix:
        return mix, np.zeros((steps, 0))
    half = np.sqrt(1 - rng.beta(spec.cutmix, spec.cutmix, steps)) / 2
    centre = rng.random((2, steps))
    edges = [edge for at in centre for edge in (at - half, at + half)]
    window = np.clip(np.stack(edges, axis=1), 0, 1)
    cut = rng.random((steps, 1)) < (EVEN if spec.mixup else 1.0)
    return np.where(cut, 1.0, mix), np.where(cut, window, 0.0)


def _balanced(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw as many images as there are, every class with the same probability."""
    counts = np.bincount(labels)
    chances = 1.0 / counts[labels]
    return rng.choice(len(labels), len(labels), p=chances / chances.sum())
