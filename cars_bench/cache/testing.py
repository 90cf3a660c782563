"""Caches of made-up features, for tests and benchmarks that need no images and no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import Agreement, Manifest, Provenance
from cars_bench.cache.shards import Batch, PlannedShard, planned_shards, write_shard
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import SPLITS, Dataset
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
PROVENANCE = Provenance(
    weights="none", batch_size=32, augment="none", agreement=Agreement(), versions={}
)


@dataclass(frozen=True, kw_only=True)
class MadeUpCache:
    """What a made-up cache is to hold.

    Attributes:
        recipe: As if it had been extracted so.
        dataset: Name of a dataset, made up or not.
        class_names: The index is the label.
        counts: Images of each split.
        shape: Of one feature.
        views: Views of each training image.
    """

    recipe: FeatureRecipe
    dataset: str
    class_names: tuple[str, ...]
    counts: dict[str, int]
    shape: tuple[int, ...]
    views: int = 1

    @classmethod
    def of(
        cls, dataset: Dataset, shape: tuple[int, ...], views: int = 1, **recipe: Any
    ) -> MadeUpCache:
        """For all images of a prepared dataset; `recipe` holds what is not as in `RECIPE`."""
        present = replace(RECIPE, dataset_digest=dataset.digest, crop=dataset.crop)
        return cls(
            recipe=replace(present, **recipe),
            dataset=dataset.name,
            class_names=tuple(dataset.class_names),
            counts={split: len(dataset.split(split)) for split in SPLITS},
            shape=shape,
            views=views,
        )

    def write(
        self, workspace: Workspace, batch_of: Callable[[PlannedShard], Batch]
    ) -> FeatureCache:
        """Write it as `extract` would, and make it the default of later commands.

        Args:
            workspace: Where to.
            batch_of: All records of a shard.
        """
        folder = workspace.features / self.recipe.key
        feature_bytes = int(np.prod(self.shape)) * np.dtype(self.recipe.dtype).itemsize
        entries = [
            write_shard(folder / shard.file, shard.split, shard.view, [batch_of(shard)])
            for shard in planned_shards(self.counts, self.views, feature_bytes)
        ]
        manifest = Manifest(
            recipe=self.recipe,
            dataset=self.dataset,
            class_names=self.class_names,
            shape=self.shape,
            extraction=PROVENANCE,
            shards=tuple(entries),
        )
        manifest.write(folder)
        workspace.remember("cache", key=self.recipe.key)
        return FeatureCache(folder, manifest)


def batch_of_dataset(
    dataset: Dataset, features: Callable[[np.ndarray, PlannedShard], np.ndarray]
) -> Callable[[PlannedShard], Batch]:
    """All records of a shard, its features made from their labels int64 [n] and the shard."""

    def batch_of(shard: PlannedShard) -> Batch:
        records = dataset.records(shard.split)[shard.start : shard.stop]
        labels = np.array([record.label for record in records], np.int64)
        names = [record.image_id for record in records]
        return Batch(names, labels, shard.view, features(labels, shard))

    return batch_of
