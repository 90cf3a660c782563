"""A cache's features as TensorFlow takes them: a `tf.data.Dataset` in the documented order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from cars_bench.cache.store import FeatureCache


def tensors(cache: FeatureCache, split: str, views: tuple[int, ...]) -> Any:
    """One split as `tf.data.Dataset`, read shard by shard in bounded memory, each verified.

    Args:
        cache: The cache.
        split: `train`, `val` or `test`; the files of other splits are not touched.
        views: Those wanted, one after the other; within each the images lie in the order of
            their ids, as in the shards (`cache/README.md`).

    Returns:
        Of (feature `[*shape]` of the stored dtype, label int64 `[]`), of known length.

    Raises:
        CacheCorrupt: While it is read: a shard is not what the manifest promises.
    """
    manifest = cache.manifest

    def shards() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for view in views:
            for batch in cache.stream(split, view):
                yield batch.features, batch.labels

    signature = (
        tf.TensorSpec((None, *manifest.shape), manifest.dtype),
        tf.TensorSpec((None,), tf.int64),
    )
    found = tf.data.Dataset.from_generator(shards, output_signature=signature).unbatch()
    count = manifest.images(split) * len(views)
    return found.apply(tf.data.experimental.assert_cardinality(count))
