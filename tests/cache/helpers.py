"""Caches of made-up features, built without any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.shards import Batch, PlannedShard
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.testing import RECIPE, MadeUpCache
from cars_bench.workspace import Workspace

__all__ = ["RECIPE", "feature", "shard_path", "write_cache"]


def feature(split: str, image: int, view: int, shape: tuple[int, ...]) -> np.ndarray:
    seed = [len(split), image, view]
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def write_cache(
    workspace: Workspace,
    counts: dict[str, int],
    views: int = 1,
    shape: tuple[int, ...] = (5,),
    recipe: FeatureRecipe = RECIPE,
) -> FeatureCache:
    """A complete cache whose features are `feature(split, image, view, shape)`."""

    def batch_of(shard: PlannedShard) -> Batch:
        images = range(shard.start, shard.stop)
        return Batch(
            [f"{shard.split}/{image:06d}.jpg" for image in images],
            np.array([image % 7 for image in images], np.int64),
            shard.view,
            np.stack([feature(shard.split, image, shard.view, shape) for image in images]),
        )

    return MadeUpCache(
        recipe=recipe,
        dataset="toys",
        class_names=tuple(f"class {number}" for number in range(7)),
        counts=counts,
        shape=shape,
        views=views,
    ).write(workspace, batch_of)


def shard_path(cache: FeatureCache, split: str = "train", view: int = 0) -> Path:
    return cache.folder / cache.manifest.select(split, view)[0].file
