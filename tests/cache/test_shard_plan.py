from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.cache.shard_plan import MOST_SHARD_BYTES, planned_shards, shard_size


@given(
    train=st.integers(0, 3000),
    val=st.integers(0, 300),
    views=st.integers(1, 4),
    size=st.integers(1, 10**8),
)
def test_every_image_stands_in_exactly_one_shard_of_each_view(train, val, views, size):
    shards = planned_shards({"train": train, "val": val}, views, size)
    for split, count, expected in [("train", train, views), ("val", val, 1), ("test", 0, 1)]:
        for view in range(expected):
            mine = [item for item in shards if (item.split, item.view) == (split, view)]
            edges = [0, *(item.stop for item in mine)]
            assert [item.start for item in mine] == edges[:-1]
            assert edges[-1] == count
            assert [item.number for item in mine] == list(range(len(mine)))
    assert len({item.file for item in shards}) == len(shards)
    assert all(item.split == "train" for item in shards if item.view > 0)


def test_more_views_only_add_shards():
    few = planned_shards({"train": 99, "val": 9}, 1, 8)
    many = planned_shards({"train": 99, "val": 9}, 3, 8)
    assert many[: len(few)] == few


@pytest.mark.parametrize("count", [10, 100_000, 10_000_000])
@pytest.mark.parametrize("feature_bytes", [32, 4096, 400_000, 10**9])
def test_a_shard_fits_into_memory(monkeypatch, count, feature_bytes):
    monkeypatch.undo()
    size = shard_size(count, feature_bytes)
    assert size == 1 or size * feature_bytes <= MOST_SHARD_BYTES
