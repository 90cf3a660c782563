"""Features that stay on disk until they are asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cars_bench.cache.shards import ShardDamaged, read_at
from cars_bench.errors import CacheCorrupt
from cars_bench.workspace import BINARY


@dataclass(frozen=True, kw_only=True)
class Records:
    """A read-only array [N, V, *shape] over verified shards, for features larger than memory.

    `records[images, views]` takes integers or integer arrays, as numpy does,
    and reads just those records.  No file stays open, so it may be used from
    several threads and processes.

    Attributes:
        files: The shards.
        file_of: int32 [N, V], index into `files`.
        offset_of: int64 [N, V], first byte of the feature in its file.
        feature_shape: Shape of one feature.
        dtype: Dtype of the features.
    """

    files: tuple[Path, ...]
    file_of: np.ndarray
    offset_of: np.ndarray
    feature_shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V, *shape)."""
        return (*self.file_of.shape, *self.feature_shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all features together."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.file_of)

    def __getitem__(self, index: Any) -> np.ndarray:
        files = np.asarray(self.file_of[index])
        offsets = np.asarray(self.offset_of[index])
        flat = self._read(files.ravel(), offsets.ravel())
        return flat.reshape(*files.shape, *self.feature_shape)

    def gather(self, images: np.ndarray, views: np.ndarray) -> np.ndarray:
        """The records (images[i], views[i]): [n, *shape]."""
        return self[images, views]

    def array(self) -> np.ndarray:
        """Everything in memory: [N, V, *shape]."""
        return self[:]

    def _read(self, files: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        out = np.empty((len(files), int(np.prod(self.feature_shape))), self.dtype)
        for number in np.unique(files).tolist():
            path = self.files[number]
            descriptor = os.open(path, os.O_RDONLY | BINARY)
            try:
                for row in np.flatnonzero(files == number).tolist():
                    read_at(descriptor, int(offsets[row]), out[row])
            except ShardDamaged as damage:
                raise CacheCorrupt(
                    f"{path} {damage.reason}; it changed while it was read.",
                    "cars-bench cache verify --repair",
                ) from damage
            finally:
                os.close(descriptor)
        return out
