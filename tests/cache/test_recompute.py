from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.cache.decoding import source_of
from cars_bench.cache.extract import extract
from cars_bench.cache.recompute import recompute
from cars_bench.cache.store import FeatureCache
from cars_bench.errors import CacheStale, InputError
from cars_bench.progress import Progress
from tests.cache.conftest import TINY


@pytest.fixture
def cache(workspace, tiny_dataset) -> FeatureCache:
    return FeatureCache.open(workspace, extract(workspace, replace(TINY, views=1), Progress()).key)


def test_an_unknown_image_is_named(cache, tiny_dataset):
    with pytest.raises(InputError, match=r"nowhere\.png"):
        recompute(cache, tiny_dataset, ["nowhere.png"])


def test_other_weights_are_noticed(cache, tiny_dataset):
    recipe = replace(cache.recipe, weights_digest="0" * 64)
    other = FeatureCache(cache.folder, replace(cache.manifest, recipe=recipe))
    with pytest.raises(CacheStale, match="weights"):
        recompute(other, tiny_dataset, [tiny_dataset.table["image_id"].iloc[0]])


def test_another_resize_is_noticed(cache, tiny_dataset):
    with pytest.raises(CacheStale, match="resize"):
        source_of(replace(cache.recipe, resize="nearest"), tiny_dataset)
