"""Shards and what one record looks like.  Covers cars_bench/cache/examples.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.cache.examples import encode_example, parse_example
from cars_bench.cache.shards import (
    MOST_SHARD_BYTES,
    Batch,
    ShardDamaged,
    encode_batch,
    features_of,
    frame,
    index_shard,
    masked_crc,
    planned_shards,
    shard_size,
    write_shard,
)


def batch(records: int = 4, width: int = 3) -> Batch:
    x = np.arange(records * width, dtype=np.float16).reshape(records, width)
    names = [f"a/{number}.jpg" for number in range(records)]
    return Batch(names, np.arange(records, dtype=np.int64) * 100, 2, x)


@given(
    image_id=st.text(max_size=300).filter(lambda text: text.isprintable()),
    label=st.integers(0, 2**40),
    view=st.integers(0, 300),
    feature=st.binary(min_size=1, max_size=400),
)
def test_an_example_survives_the_round_trip(image_id, label, view, feature):
    data = encode_example(image_id, label, view, feature)
    name, got_label, got_view, start = parse_example(data, 0, len(data))
    assert (name, got_label, got_view, data[start:]) == (image_id, label, view, feature)


@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused_and_never_misread(data):
    with pytest.raises((ValueError, IndexError)):
        parse_example(data, 0, len(data))


def test_a_shard_survives_the_round_trip(tmp_path):
    written = write_shard(tmp_path / "x.tfrecord", "train", 2, [batch()])
    data = (tmp_path / "x.tfrecord").read_bytes()
    index = index_shard(data)
    assert written.records == 4
    assert written.bytes == len(data)
    assert index.image_ids == batch().image_ids
    assert index.labels.tolist() == [0, 100, 200, 300]
    assert index.views.tolist() == [2] * 4
    got = features_of(data, index, np.dtype("<f2"), (3,))
    np.testing.assert_array_equal(got, batch().features)


def test_tensorflow_reads_what_we_write(tmp_path):
    tf = pytest.importorskip("tensorflow")
    path = tmp_path / "x.tfrecord"
    write_shard(path, "train", 2, [batch()])
    layout = {
        "image_id": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "view": tf.io.FixedLenFeature([], tf.int64),
        "feature": tf.io.FixedLenFeature([], tf.string),
    }
    records = [
        tf.io.parse_single_example(record, layout) for record in tf.data.TFRecordDataset(str(path))
    ]
    assert [record["image_id"].numpy().decode() for record in records] == batch().image_ids
    assert [int(record["label"]) for record in records] == [0, 100, 200, 300]
    assert {int(record["view"]) for record in records} == {2}
    got = np.stack([tf.io.decode_raw(record["feature"], tf.float16) for record in records])
    np.testing.assert_array_equal(got, batch().features)


def test_we_read_what_tensorflow_writes(tmp_path):
    tf = pytest.importorskip("tensorflow")
    path = tmp_path / "x.tfrecord"
    payload = encode_example("a", 1, 0, b"1234")
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(payload)
    assert path.read_bytes() == frame(payload)
    assert index_shard(path.read_bytes()).image_ids == ["a"]


def test_the_checksum_is_the_masked_crc32c_of_the_format():
    assert (
        masked_crc(b"123456789") == (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) % 2**32
    )


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_every_flipped_byte_is_noticed():
    data = encode_batch(batch(records=2))
    for at in range(len(data)):
        with pytest.raises(ShardDamaged):
            index_shard(_flip(data, at))


def test_every_cut_inside_a_record_is_noticed():
    data = encode_batch(batch(records=2))
    boundary = len(data) // 2
    for length in range(len(data)):
        if length == boundary:
            assert len(index_shard(data[:length]).image_ids) == 1
            continue
        with pytest.raises(ShardDamaged):
            index_shard(data[:length])


@pytest.mark.parametrize(
    ("cut", "said"), [(0, "is empty"), (5, "header of record 0"), (40, "inside record 0")]
)
def test_a_cut_is_named(cut, said):
    with pytest.raises(ShardDamaged, match=said):
        index_shard(encode_batch(batch())[:cut])


def test_a_failed_write_leaves_nothing(tmp_path: Path):
    def broken():
        yield batch()
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_shard(tmp_path / "x.tfrecord", "train", 0, broken())
    assert list(tmp_path.iterdir()) == []


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
