"""The boxes of a cache's views: computed when it is opened, so that no cache holds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, Split
from cars_bench.data.object_boxes import ObjectBoxes, object_images


def view_boxes(
    cache: FeatureCache, split: Split, views: int | None = None
) -> npt.NDArray[np.float32]:
    """Where the object lies in each cached view, as shares of its sides; NaN where unknown.

    Args:
        cache: Of pooled features or of a boundary.
        split: `train`, `val` or `test`.
        views: How many views, from view 0; by default all that are stored.

    Returns:
        float32 `[N, V, 4]` in the order of `FeatureCache.load`.

    Raises:
        DatasetMissing: The dataset is gone, and its boxes with it.
        UsageError: The images are cut to their boxes, or none has one.
    """
    dataset = Dataset.load(cache.workspace, cache.manifest.dataset)
    recipe = cache.recipe
    return ObjectBoxes(
        object_images(dataset, split),
        recipe.policy("cached"),
        recipe.augment_seed,
        cache.manifest.views(split) if views is None else views,
    ).in_memory()
