from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.cache.decoding import source_of
from cars_bench.cache.extract import extract
from cars_bench.cache.extraction import (
    RANGE_FILE,
    OutOfRange,
    prepare_extraction,
    recompute,
    stored,
)
from cars_bench.cache.store import FeatureCache
from cars_bench.errors import CacheStale, CarsBenchError, InputError
from cars_bench.progress import Progress
from tests.cache.conftest import TINY

NAMES = ["a.jpg", "b.jpg"]


def features(value: float) -> np.ndarray:
    x = np.ones((2, 3), np.float32)
    x[1] = value
    return x


@pytest.mark.parametrize("value", [70000.0, -70000.0, 1e-8])
def test_what_float16_loses_is_noticed(value):
    with pytest.raises(OutOfRange) as caught:
        stored(features(value), "float16", NAMES)
    assert caught.value.image_id == NAMES[1]


@pytest.mark.parametrize("value", [0.0, 65504.0, 1e-3, -3.5])
def test_what_float16_keeps_is_stored(value):
    got = stored(features(value), "float16", NAMES)
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, features(value), rtol=1e-3)


def test_float32_takes_it_all():
    np.testing.assert_array_equal(stored(features(70000), "float32", NAMES), features(70000))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_gives_no_numbers_is_an_error_that_names_the_image(value, dtype):
    with pytest.raises(CarsBenchError, match=r"b\.jpg"):
        stored(features(value), dtype, NAMES)


def test_an_extraction_knows_its_shards_and_what_they_hold(extraction):
    shards = extraction.shards(2)
    batches = list(extraction.batches(shards[:2]))
    assert [len(batch.image_ids) for batch in batches] == [10, 10]
    assert {batch.features.dtype for batch in batches} == {np.dtype("float16")}
    names = [record.image_id for shard in shards[:2] for record in extraction.records(shard)]
    assert [name for batch in batches for name in batch.image_ids] == names
    assert extraction.feature_bytes == 16 * 2
    assert extraction.in_float32().feature_bytes == 16 * 4


def test_a_key_that_overflowed_before_is_stored_in_float32(workspace, extraction):
    folder = workspace.features / extraction.recipe.key
    folder.mkdir(parents=True)
    (folder / RANGE_FILE).write_text("{}")
    again = prepare_extraction(workspace, TINY, Progress())
    assert again.recipe == extraction.in_float32().recipe
    assert again.recipe.key != extraction.recipe.key


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
