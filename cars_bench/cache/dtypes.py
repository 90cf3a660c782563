"""Storing features in float16 without losing them: finite, in range, and close."""

from __future__ import annotations

import numpy as np

from cars_bench.errors import CarsBenchError

MOST_RELATIVE_ERROR = 1e-2
"""Of a whole feature; float16 itself costs about 3e-4."""


class OutOfRange(Exception):
    """These features do not survive in float16.

    Attributes:
        number: First such feature of the batch; the text says why.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def stored(features: np.ndarray, dtype: str, image_ids: list[str]) -> np.ndarray:
    """Convert float32 features [n, *shape] to the dtype they are stored in.

    Raises:
        OutOfRange: float16 would overflow, or flush values that matter to zero.
        CarsBenchError: The network itself gave NaN or infinity.
    """
    flat = features.reshape(len(features), -1)
    finite = np.isfinite(flat).all(axis=1)
    if not finite.all():
        name = image_ids[int(np.argmin(finite))]
        raise CarsBenchError(
            f"The backbone gave NaN or infinity for {name}.",
            "check --weights, or --runtime tensorflow",
        )
    if dtype == "float32":
        return features.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):
        small = features.astype(np.float16)
    _check(flat, small.reshape(flat.shape))
    return small


def _check(exact: np.ndarray, small: np.ndarray) -> None:
    overflowed = ~np.isfinite(small).all(axis=1)
    if overflowed.any():
        number = int(np.argmax(overflowed))
        raise OutOfRange(number, f"{np.abs(exact[number]).max():.6g} does not fit into float16")
    error = np.linalg.norm(exact - small.astype(np.float32), axis=1)
    lost = error > MOST_RELATIVE_ERROR * np.linalg.norm(exact, axis=1)
    if lost.any():
        number = int(np.argmax(lost))
        largest = np.abs(exact[number]).max()
        raise OutOfRange(number, f"values up to {largest:.3g} are too small for float16")
