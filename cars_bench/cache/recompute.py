"""Features of any record again, by the extraction's own runtime and precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cars_bench.cache.decoding import decoder, jobs_of, source_of
from cars_bench.cache.dtypes import stored
from cars_bench.cache.manifest import Manifest
from cars_bench.cache.runtimes import (
    Runner,
    load_backbone,
    make_runner,
    network_batch_size,
    network_of,
)
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CacheStale, InputError


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
    runner = runner_of(cache.manifest)
    known = {item.image_id: item for items in source.records.values() for item in items}
    missing = [name for name in image_ids if name not in known]
    if missing:
        raise InputError(
            f"{missing[0]} is not in the dataset {dataset.name!r}.", "cars-bench prepare"
        )
    work = jobs_of([known[name] for name in image_ids], view, runner.batch_size)
    out = np.empty((len(image_ids), *cache.manifest.shape), cache.manifest.dtype)
    start = 0
    with decoder(source) as threads:
        for job, features in runner.stream(threads.batches(work)):
            names = [record.image_id for record in job.records]
            out[start : start + len(names)] = stored(features, cache.recipe.dtype, names)
            start += len(names)
    return out


def runner_of(manifest: Manifest) -> Runner:
    """The network of a cache, compiled as it was for the extraction.

    Raises:
        CacheStale: The weights are other ones now.
    """
    recipe, extraction = manifest.recipe, manifest.extraction
    backbone = load_backbone(recipe.backbone, extraction["weights"], recipe.image_size)
    if backbone.weights_digest != recipe.weights_digest:
        raise CacheStale(
            f"The weights {extraction['weights']!r} of {recipe.backbone} are not the ones "
            "that the cache was made with.",
            "cars-bench extract",
        )
    network = network_of(backbone, recipe.pooling, recipe.boundary)
    batch_size = network_batch_size(extraction["batch_size"])
    return make_runner(recipe.runtime, network, batch_size, recipe.precision)
