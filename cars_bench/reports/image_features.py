"""The cached features of every image of every split, as the report looks at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cars_bench.cache.manifest import Manifest
from cars_bench.cache.store import FeatureCache, Features
from cars_bench.data.dataset import SPLITS
from cars_bench.errors import CacheUnusable
from cars_bench.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """N images, split by split.

    Attributes:
        image_ids: N names.
        splits: N names of splits.
        labels: int64 [N].
        x: float32 [N, D], of the plain view.
    """

    image_ids: tuple[str, ...]
    splits: tuple[str, ...]
    labels: np.ndarray
    x: np.ndarray

    def rows(self, split: str) -> np.ndarray:
        """Rows of a split, int [M]."""
        return np.flatnonzero(np.array(self.splits) == split)


def read_features(workspace: Workspace, manifest: Manifest | None) -> ImageFeatures | None:
    """Read them; `None` where there are none, or only maps, or they are stale.

    Raises:
        CacheCorrupt: A shard's bytes are not the promised ones.
    """
    if manifest is None or manifest.holds_maps:
        return None
    try:
        cache = FeatureCache.open(workspace, manifest.recipe.key)
    except CacheUnusable:
        return None
    found = {split: cache.load(split, 1) for split in SPLITS if manifest.images(split)}
    if not found:
        return None
    return ImageFeatures(
        image_ids=tuple(name for part in found.values() for name in part.image_ids),
        splits=tuple(split for split, part in found.items() for _ in part.image_ids),
        labels=np.concatenate([part.labels for part in found.values()]),
        x=np.concatenate([_flat(part) for part in found.values()]),
    )


def _flat(features: Features) -> np.ndarray:
    return np.asarray(features.x[:, 0], np.float32).reshape(len(features.labels), -1)
