"""Mixing pairs of images, by share (mixup) or by window (cutmix), on any array library."""

from __future__ import annotations

from typing import Any

__all__ = ["covered", "shares"]


def shares(xp: Any, mix: Any, window: Any, rank: int, side: tuple[int, ...]) -> Any:
    """How much of each image stays where.

    A window's edge that runs through a cell takes its part of that cell, so
    the mean over an image is exact on a coarse map too.

    Args:
        xp: `numpy` or `jax.numpy`.
        mix: float32 `[B]`, share of the image outside its window.
        window: float32 `[B, 4]`: top, bottom, left, right in 0..1; `[B, 0]` for none.
        rank: Axes of one image.
        side: Height and width of one image; only read where there are windows.

    Returns:
        float32 `[B, 1, ...]`, or `[B, H, W, 1]` with windows.
    """
    if not window.shape[-1]:
        return mix.reshape(-1, *[1] * rank)
    rows = covered(xp, window[:, 0], window[:, 1], side[0])
    columns = covered(xp, window[:, 2], window[:, 3], side[1])
    left = 1 - rows[:, :, None] * columns[:, None, :]
    return (mix[:, None, None] * left)[..., None]


def covered(xp: Any, low: Any, high: Any, cells: int) -> Any:
    """Part of each of the even cells of 0..1 that lies between two places.

    Args:
        xp: `numpy` or `jax.numpy`.
        low: float `[B]`, 0..1.
        high: float `[B]`, 0..1.
        cells: How many.

    Returns:
        `[B, cells]`, as precise as `low`.
    """
    edges = xp.arange(cells + 1, dtype=low.dtype) / cells
    ends = xp.minimum(high[:, None], edges[None, 1:])
    return xp.clip(ends - xp.maximum(low[:, None], edges[None, :-1]), 0, None) * cells
