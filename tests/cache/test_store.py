"""Opening and reading a cache.  Covers cars_bench/cache/records.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import MANIFEST_FILE
from cars_bench.cache.records import Records
from cars_bench.cache.store import FeatureCache, cache_keys
from cars_bench.errors import CacheCorrupt, CacheMissing, CacheStale, UsageError
from cars_bench.workspace import Workspace
from tests.cache.helpers import RECIPE, feature, shard_path, write_cache

COUNTS = {"train": 600, "val": 20, "test": 10}


@pytest.fixture
def space(tmp_path) -> Workspace:
    return Workspace(tmp_path)


def test_features_come_back_in_split_order(space):
    write_cache(space, COUNTS, views=3)
    train = FeatureCache.open(space).load("train")
    assert train.x.shape == (600, 3, 5)
    assert train.image_ids == sorted(train.image_ids)
    assert train.labels[8] == 1
    for image, view in [(0, 0), (255, 1), (256, 2), (599, 2)]:
        np.testing.assert_array_equal(train.x[image, view], feature("train", image, view, (5,)))


def test_only_train_has_views_and_fewer_can_be_read(space):
    cache = write_cache(space, COUNTS, views=3)
    assert cache.load("val").x.shape == (20, 1, 5)
    assert cache.load("train", views=2).x.shape == (600, 2, 5)
    with pytest.raises(UsageError, match="3 views"):
        cache.load("train", views=4)


def test_a_boundary_cache_is_read_on_demand(space):
    recipe = replace(RECIPE, boundary="block2", pooling="none")
    cache = write_cache(space, COUNTS, views=2, shape=(2, 2, 3), recipe=recipe)
    x = cache.load("train").x
    assert isinstance(x, Records)
    assert x.shape == (600, 2, 2, 2, 3)
    assert x.dtype == np.float16
    images, views = np.array([599, 0, 300]), np.array([1, 0, 1])
    got = x[images, views]
    for row, image, view in zip(got, images, views, strict=True):
        np.testing.assert_array_equal(row, feature("train", image, view, (2, 2, 3)))
    np.testing.assert_array_equal(x.gather(images, views), got)
    np.testing.assert_array_equal(x.array()[images, views], got)


def test_loading_one_split_never_opens_another(space):
    cache = write_cache(space, COUNTS)
    for item in cache.manifest.select("test", 0):
        (cache.folder / item.file).unlink()
    assert len(FeatureCache.open(space).load("val").labels) == 20
    with pytest.raises(CacheCorrupt, match="is missing"):
        cache.load("test")


def test_streaming_gives_the_same_records(space):
    cache = write_cache(space, COUNTS)
    batches = list(cache.stream("train"))
    np.testing.assert_array_equal(
        np.concatenate([batch.features for batch in batches]), cache.load("train").x[:, 0]
    )


def test_a_split_without_images_is_empty(space):
    cache = write_cache(space, {"train": 3})
    assert cache.load("test").x.shape == (0, 1, 5)


def test_a_prefix_of_the_key_will_do(space):
    cache = write_cache(space, COUNTS)
    assert FeatureCache.open(space, cache.key[:5]).key == cache.key
    with pytest.raises(CacheMissing, match="no cache zzz"):
        FeatureCache.open(space, "zzz")


def test_an_ambiguous_prefix_lists_the_keys(space):
    recipes: dict[str, FeatureRecipe] = {}
    for seed in range(100):
        recipe = replace(RECIPE, augment_seed=seed)
        recipes.setdefault(recipe.key[0], recipe)
        if recipes[recipe.key[0]] is not recipe:
            break
    for item in (recipes[recipe.key[0]], recipe):
        write_cache(space, {"train": 1}, recipe=item)
    assert len(cache_keys(space)) == 2
    with pytest.raises(UsageError, match="begins several"):
        FeatureCache.open(space, recipe.key[0])


def test_without_any_cache_the_fix_is_extract(space):
    with pytest.raises(CacheMissing) as caught:
        FeatureCache.open(space)
    assert caught.value.fix == "cars-bench extract"


def test_without_manifest_there_is_no_cache(space):
    cache = write_cache(space, COUNTS)
    (cache.folder / MANIFEST_FILE).unlink()
    with pytest.raises(CacheMissing, match="never finished"):
        FeatureCache.open(space)


def test_a_flipped_bit_stops_the_load(space):
    cache = write_cache(space, COUNTS)
    path = shard_path(cache)
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(data)
    with pytest.raises(CacheCorrupt, match="record 9"):
        cache.load("train")


def test_a_changed_dataset_makes_the_cache_stale(workspace, tiny_dataset):
    recipe = replace(RECIPE, dataset_digest=tiny_dataset.digest, crop=tiny_dataset.crop)
    cache = write_cache(workspace, {"train": 2}, recipe=recipe)
    current = replace(cache.manifest, dataset=tiny_dataset.name)
    FeatureCache(cache.folder, current).check_dataset(workspace)
    stale = replace(current, recipe=replace(recipe, dataset_digest="0" * 64, crop="other"))
    with pytest.raises(CacheStale, match="dataset content, crop"):
        FeatureCache(cache.folder, stale).check_dataset(workspace)
