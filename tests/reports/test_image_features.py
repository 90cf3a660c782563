from __future__ import annotations

from dataclasses import replace

import numpy as np

from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import SPLITS
from cars_bench.reports.image_features import read_features


def test_every_image_of_every_split_has_its_features_label_and_name(finished):
    found = finished.features
    cache = FeatureCache.open(finished.workspace, finished.manifest.recipe.key)
    assert found.x.shape == (90, 16)
    for split in SPLITS:
        rows = found.rows(split)
        part = cache.load(split, 1)
        assert [found.image_ids[row] for row in rows] == part.image_ids
        np.testing.assert_array_equal(found.labels[rows], part.labels)
        np.testing.assert_array_equal(found.x[rows], part.x[:, 0])


def test_without_a_cache_or_of_maps_there_are_none(finished):
    assert read_features(finished.workspace, None) is None
    maps = replace(finished.manifest, shape=(4, 4, 3))
    assert read_features(finished.workspace, maps) is None
