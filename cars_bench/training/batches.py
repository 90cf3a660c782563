"""What one epoch shows the model, decided in numpy before the epoch runs.

All randomness of the data (order, views, mixing partners) is drawn here from
(seed, epoch), so every backend trains on the same batches and a resumed run
sees the ones it would have seen.  Images are mixed by share (mixup) or by
window (cutmix), on any array library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cars_bench.training.specs import TrainingSpec

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

EVEN = 0.5


class Window(NamedTuple):
    """A part of an image, its edges as fractions of the side; in arrays the last axis."""

    top: Any
    bottom: Any
    left: Any
    right: Any

    @classmethod
    def of(cls, array: Any) -> Window:
        """The edges `[...]` of windows `[..., 4]`."""
        return cls(*(array[..., place] for place in range(len(cls._fields))))


@dataclass(frozen=True, kw_only=True)
class EpochBatches:
    """The batches of one epoch; S steps of B images.

    Attributes:
        image: int32 `[S, B]`, index of the image.
        view: int32 `[S, B]`, which of its cached views.
        partner: int32 `[S, B]`, index of the image mixed in.
        partner_view: int32 `[S, B]`.
        mix: float32 `[S, B]`, share of `image`, 1 where nothing is mixed in.
        window: float32 `[S, B, 4]`, the `Window` that `partner` fills instead;
            `[S, B, 0]` without.
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


def draw_epoch(
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


def class_draws(
    spec: TrainingSpec, labels: npt.NDArray[np.int64], draws: int, seed: int = 0
) -> npt.NDArray[np.int64]:
    """How often each class is drawn, by the code that draws when training: int64 `[C]`.

    Args:
        spec: Of whose sampling it is.
        labels: int64 `[N]`, at least one.
        draws: Images drawn; as many epochs as that takes, the last one cut short.
        seed: The training's seed.
    """
    drawn: list[npt.NDArray[np.int64]] = []
    for epoch in range(-(-draws // len(labels))):
        batches = draw_epoch(spec, labels, 1, seed, epoch)
        drawn.append(labels[batches.image[batches.weight > 0]])
    return np.bincount(np.concatenate(drawn)[:draws], minlength=int(labels.max()) + 1)


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
    row, column = rng.random((2, steps))
    edges = Window(top=row - half, bottom=row + half, left=column - half, right=column + half)
    window = np.clip(np.stack(edges, axis=1), 0, 1)
    cut = rng.random((steps, 1)) < (EVEN if spec.mixup else 1.0)
    return np.where(cut, 1.0, mix), np.where(cut, window, 0.0)


def _balanced(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw as many images as there are, every class with the same probability."""
    counts = np.bincount(labels)
    chances = 1.0 / counts[labels]
    return rng.choice(len(labels), len(labels), p=chances / chances.sum())


def shares(xp: Any, mix: Any, window: Any, rank: int, side: tuple[int, ...]) -> Any:
    """How much of each image stays where.

    A window's edge that runs through a cell takes its part of that cell, so
    the mean over an image is exact on a coarse map too.

    Args:
        xp: `numpy` or `jax.numpy`.
        mix: float32 `[B]`, share of the image outside its window.
        window: float32 `[B, 4]`, a `Window` each; `[B, 0]` for none.
        rank: Axes of one image.
        side: Height and width of one image; only read where there are windows.

    Returns:
        float32 `[B, 1, ...]`, or `[B, H, W, 1]` with windows.
    """
    if not window.shape[-1]:
        return mix.reshape(-1, *[1] * rank)
    edges = Window.of(window)
    rows = covered(xp, edges.top, edges.bottom, side[0])
    columns = covered(xp, edges.left, edges.right, side[1])
    left = 1 - rows[:, :, None] * columns[:, None, :]
    return (mix[:, None, None] * left)[..., None]


def covered(xp: Any, low: Any, high: Any, cells: int) -> Any:
    """Share of each of `cells` even cells of [0, 1] that lies between two places.

    Args:
        xp: `numpy` or `jax.numpy`.
        low: Array `[...]`; its dtype is the answer's.
        high: Array `[...]`.
        cells: How many.

    Returns:
        `[..., cells]`.
    """
    edges = xp.arange(cells + 1, dtype=low.dtype) / cells
    inside = xp.minimum(high[..., None], edges[1:]) - xp.maximum(low[..., None], edges[:-1])
    return xp.clip(inside, 0, None) * cells
