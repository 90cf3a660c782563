"""Original images as a source for the training loop, decoded when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cars_bench.data.dataset import ImageRecord
from cars_bench.data.pixels import prepared_view
from cars_bench.data.policies import NAMED, Policy


@dataclass(frozen=True)
class LiveImages:
    """Images of a split, indexed like stored activations.

    View 0 is the plain image; every other view is augmented from (seed,
    image_id, view) alone, so a large `views` never shows the same one twice.

    Attributes:
        records: N images.
        size: Side of the square they are resized to, in pixels.
        policy: Augmentation of the views above 0.
        seed: Of the augmentation.
        views: V.
    """

    records: Sequence[ImageRecord]
    size: int
    policy: Policy = NAMED["none"]
    seed: int = 0
    views: int = 1
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(os.cpu_count()), repr=False, compare=False
    )

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, V, S, S, 3)`."""
        return (len(self.records), self.views, self.size, self.size, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, 0 to 255."""
        return np.dtype(np.uint8)

    def __getitem__(self, index: tuple[Any, Any]) -> npt.NDArray[Any]:
        """Pixels uint8 `[B, S, S, 3]` of image and view indices `[B]`.

        Raises:
            InputError: A file is gone, or is not the one that was prepared; names it.
        """
        return np.stack(list(self._pool.map(self._pixels, *index)))

    def _pixels(self, image: int, view: int) -> npt.NDArray[Any]:
        return prepared_view(self.records[image], self.size, self.policy, self.seed, int(view))
