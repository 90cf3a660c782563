from __future__ import annotations

import numpy as np

from cars_bench.cache.store import FeatureCache
from cars_bench.cache.testing import MadeUpCache, batch_of_dataset
from cars_bench.cache.verify import verify
from cars_bench.progress import Progress


def test_a_made_up_cache_of_a_dataset_is_a_cache_like_any_other(workspace, tiny_dataset):
    def features(labels, shard):
        return np.full((len(labels), 3), labels[:, None] + shard.view, np.float32)

    made_up = MadeUpCache.of(tiny_dataset, (3,), views=2, dtype="float32")
    written = made_up.write(workspace, batch_of_dataset(tiny_dataset, features))
    cache = FeatureCache.open(workspace)
    assert cache == written
    assert verify(cache.folder, Progress()).findings == ()
    train = cache.load("train")
    assert train.image_ids == [record.image_id for record in tiny_dataset.records("train")]
    np.testing.assert_array_equal(train.x[:, 1, 0], train.labels + 1)
