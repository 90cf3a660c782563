"""Shards and what one record looks like.  Covers cars_bench/cache/examples.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.cache.examples import encode_example, parse_example
from cars_bench.cache.shards import (
    Batch,
    ShardDamaged,
    encode_batch,
    features_of,
    frame,
    index_shard,
    masked_crc,
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
