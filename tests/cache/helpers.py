"""Caches of made-up features, built without any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import Manifest
from cars_bench.cache.shard_plan import plan
from cars_bench.cache.shards import Batch, ShardEntry, write_shard
from cars_bench.cache.store import FeatureCache
from cars_bench.workspace import Workspace

RECIPE = FeatureRecipe(
    dataset_digest="d" * 64,
    crop="none",
    backbone="tiny",
    weights_digest="w" * 64,
    image_size=48,
    resize="some-resize",
    preprocessing="some-preprocessing",
    pooling="avg",
    boundary=None,
    augment="{}",
    augment_seed=0,
    dtype="float16",
    runtime="tensorflow",
    precision="float32",
)


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
    folder = workspace.features / recipe.key
    size = int(np.prod(shape)) * 2
    shards: list[ShardEntry] = []
    for item in plan(counts, views, size):
        images = range(item.start, item.stop)
        batch = Batch(
            [f"{item.split}/{image:06d}.jpg" for image in images],
            np.array([image % 7 for image in images], np.int64),
            item.view,
            np.stack([feature(item.split, image, item.view, shape) for image in images]),
        )
        shards.append(write_shard(folder / item.file, item.split, item.view, [batch]))
    names = tuple(f"class {number}" for number in range(7))
    manifest = Manifest(recipe, "toys", names, shape, tuple(shards), {"weights": "none"})
    manifest.write(folder)
    workspace.remember("cache", key=recipe.key)
    return FeatureCache(folder, manifest)


def shard_path(cache: FeatureCache, split: str = "train", view: int = 0) -> Path:
    return cache.folder / cache.manifest.select(split, view)[0].file
