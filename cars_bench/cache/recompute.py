"""Features of any record again, by the extraction's own runtime and precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cars_bench.cache.decoding import image_batches, source_of
from cars_bench.cache.extraction import stored
from cars_bench.cache.network import open_network
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.errors import InputError


def recompute(
    cache: FeatureCache, dataset: Dataset, image_ids: Sequence[str], view: int = 0
) -> np.ndarray:
    """Compute features of some images again from their files, in any order.

    Args:
        cache: Says how: backbone, weights, runtime, precision, policy, dtype.
        dataset: Has the images.
        image_ids: Which images, of any split.
        view: Which view; 0 is the plain image.

    Returns:
        [n, *shape] of the cache's dtype.

    Raises:
        CacheStale: The weights or the resize method are no longer the ones of the recipe.
        InputError: An image is unknown, gone or changed.
    """
    source = source_of(cache.recipe, dataset)
    network = open_network(ExtractOptions.of(cache.manifest.origin), made=cache.recipe)
    known = {item.image_id: item for items in source.records.values() for item in items}
    missing = [name for name in image_ids if name not in known]
    if missing:
        raise InputError(
            f"{missing[0]} is not in the dataset {dataset.name!r}.", "cars-bench prepare"
        )
    records = [known[name] for name in image_ids]
    batches = image_batches(records, view, network.runner.batch_size)
    out = np.empty((len(image_ids), *cache.manifest.shape), cache.manifest.dtype)
    start = 0
    for batch, features in network.features(source, batches):
        stop = start + len(batch.records)
        out[start:stop] = stored(features, cache.recipe.dtype, batch.image_ids)
        start = stop
    return out
