"""TFRecord shards of `tf.train.Example`s, written and read without TensorFlow.

One record is framed as TFRecord frames it (little endian)::

    uint64 length | uint32 masked crc32c(length) | payload | uint32 masked crc32c(payload)

and its payload is a `tf.train.Example` with `image_id` (bytes), `label` and
`view` (int64) and, always last, `feature` (raw little-endian numbers): the
feature ends where the payload ends, so a reader can take it straight from the
file.  `cache/README.md` gives the layout byte for byte.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from cars_bench.atomic import atomic_file
from cars_bench.cache.examples import encode_example, parse_example
from cars_bench.data.dataset import SPLITS, Split

HEADER = struct.Struct("<QI")
CRC = struct.Struct("<I")
_CRC_MASK_DELTA = 0xA282EAD8
_WORD = 0xFFFFFFFF
RECORDS_PER_SHARD = 256
MOST_SHARDS = 1024
MOST_SHARD_BYTES = 64 * 2**20


class ShardDamaged(Exception):
    """A shard's bytes are not what was written; internal to the cache.

    Args:
        reason: What is wrong, as the end of the sentence "SHARD ...".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Batch:
    """Consecutive records of one split and view.

    Attributes:
        image_ids: One id a record.
        labels: int64 [n].
        view: View number of all of them; 0 is the plain image.
        features: [n, *shape] of the cache's dtype.
    """

    image_ids: list[str]
    labels: np.ndarray
    view: int
    features: np.ndarray


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """What the manifest promises about one shard.

    Attributes:
        file: File name inside the cache's folder.
        split: `train`, `val` or `test`.
        view: View number of all its records.
        records: How many records it holds.
        bytes: Size of the file.
        sha256: SHA-256 of the file.
        ids_sha256: SHA-256 over its image ids in order, each followed by a newline.
    """

    file: str
    split: str
    view: int
    records: int
    bytes: int
    sha256: str
    ids_sha256: str


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """Where each record of a shard lies.

    Attributes:
        image_ids: One id a record, in file order.
        labels: int64 [n].
        views: int64 [n].
        offsets: int64 [n], first byte of each feature in the file.
        feature_bytes: Length of every feature.
    """

    image_ids: list[str]
    labels: np.ndarray
    views: np.ndarray
    offsets: np.ndarray
    feature_bytes: int


def ids_digest(image_ids: Iterable[str]) -> str:
    """SHA-256 over ids in order, each followed by a newline."""
    return hashlib.sha256("".join(f"{name}\n" for name in image_ids).encode()).hexdigest()


def frame(payload: bytes) -> bytes:
    """A payload as one TFRecord record."""
    length = struct.pack("<Q", len(payload))
    return b"".join((length, CRC.pack(masked_crc(length)), payload, CRC.pack(masked_crc(payload))))


def masked_crc(data: bytes) -> int:
    """CRC-32C of `data`, rotated and offset as TFRecord stores it."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _CRC_MASK_DELTA) & _WORD


def write_shard(path: Path, split: str, view: int, batches: Iterable[Batch]) -> ShardEntry:
    """Write one shard atomically: temporary name, fsync, rename.

    Returns:
        What the manifest is to say about it.
    """
    digest = hashlib.sha256()
    size = 0
    names: list[str] = []
    with atomic_file(path) as stream:
        for batch in batches:
            data = encode_batch(batch)
            digest.update(data)
            stream.write(data)
            size += len(data)
            names.extend(batch.image_ids)
    return ShardEntry(
        file=path.name,
        split=split,
        view=view,
        records=len(names),
        bytes=size,
        sha256=digest.hexdigest(),
        ids_sha256=ids_digest(names),
    )


def encode_batch(batch: Batch) -> bytes:
    """All records of a batch, framed."""
    little = batch.features.astype(batch.features.dtype.newbyteorder("<"), copy=False)
    rows = zip(batch.image_ids, batch.labels.tolist(), little, strict=True)
    return b"".join(
        frame(encode_example(name, label, batch.view, row.tobytes())) for name, label, row in rows
    )


def index_shard(data: bytes, checksums: bool = True) -> ShardIndex:
    """Walk a whole shard.

    Args:
        data: The file's bytes.
        checksums: Also compare every payload with its CRC-32C.

    Raises:
        ShardDamaged: Names the first damaged record.
    """
    if not data:
        raise ShardDamaged("is empty")
    names: list[str] = []
    numbers: list[tuple[int, int, int]] = []
    sizes: set[int] = set()
    for start, end in frames(data, checksums):
        try:
            name, label, view, offset = parse_example(data, start, end)
        except (ValueError, IndexError):
            what = f"holds something else than a feature as record {len(names)}"
            raise ShardDamaged(what) from None
        names.append(name)
        numbers.append((label, view, offset))
        sizes.add(end - offset)
    if len(sizes) != 1:
        raise ShardDamaged(f"holds features of different lengths ({sorted(sizes)} bytes)")
    labels, views, offsets = np.array(numbers, np.int64).T
    return ShardIndex(
        image_ids=names,
        labels=labels,
        views=views,
        offsets=offsets,
        feature_bytes=sizes.pop(),
    )


def features_of(
    data: bytes, index: ShardIndex, dtype: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
    """Copy all features out of a shard's bytes: [n, *shape] of `dtype`.

    Raises:
        ShardDamaged: The features have another length.
    """
    check_width(index, dtype, shape)
    out = np.empty((len(index.image_ids), index.feature_bytes), np.uint8)
    whole = np.frombuffer(data, np.uint8)
    for row, offset in zip(out, index.offsets.tolist(), strict=True):
        row[:] = whole[offset : offset + index.feature_bytes]
    return out.view(dtype).reshape(len(out), *shape)


def check_width(index: ShardIndex, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Raise `ShardDamaged` unless every feature has the length of `shape` and `dtype`."""
    expected = int(np.prod(shape)) * dtype.itemsize
    if index.feature_bytes != expected:
        raise ShardDamaged(f"holds features of {index.feature_bytes} bytes, not {expected}")


def read_at(descriptor: int, offset: int, row: np.ndarray) -> None:
    """Fill `row` (contiguous) from a file's bytes at `offset`.

    Raises:
        ShardDamaged: The file ends before.
    """
    os.lseek(descriptor, offset, os.SEEK_SET)
    data = os.read(descriptor, row.nbytes)
    if len(data) != row.nbytes:
        raise ShardDamaged(f"ends before byte {offset + row.nbytes}")
    row[:] = np.frombuffer(data, row.dtype)


def frames(data: bytes, checksums: bool) -> Iterator[tuple[int, int]]:
    """Start and end of every payload of TFRecord bytes.

    Raises:
        ShardDamaged: From here on they are none.
    """
    size = len(data)
    position = 0
    number = 0
    while position < size:
        start = position + HEADER.size
        if start > size:
            raise ShardDamaged(f"is cut inside the header of record {number}")
        length, crc = HEADER.unpack_from(data, position)
        if masked_crc(data[position : position + 8]) != crc:
            raise ShardDamaged(f"has a damaged header at record {number}")
        end = start + length
        if end + CRC.size > size:
            raise ShardDamaged(f"is cut inside record {number}")
        if checksums and masked_crc(data[start:end]) != CRC.unpack_from(data, end)[0]:
            raise ShardDamaged(f"has a flipped bit in record {number} (checksum)")
        yield start, end
        position = end + CRC.size
        number += 1


@dataclass(frozen=True, kw_only=True)
class PlannedShard:
    """A slice of one split's images in one view.

    Attributes:
        split: `train`, `val` or `test`.
        view: 0 is the plain image.
        number: 0-based among the shards of this split and view.
        of: How many those are.
        start: First image of the slice, in split order.
        stop: One past the last.
    """

    split: Split
    view: int
    number: int
    of: int
    start: int
    stop: int

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.split}-view{self.view:02d}-{self.number:05d}-of-{self.of:05d}.tfrecord"

    @property
    def records(self) -> int:
        """How many records it holds."""
        return self.stop - self.start


def planned_shards(counts: dict[str, int], views: int, feature_bytes: int) -> list[PlannedShard]:
    """All shards of a cache, by view, then split, then number.

    Only the train split has views above 0.

    Args:
        counts: Images of each split.
        views: Views of the train split, 1 or more.
        feature_bytes: Bytes of one feature.
    """
    return [
        shard
        for view in range(views)
        for split in SPLITS
        if view == 0 or split == "train"
        for shard in _shards_of_split(split, view, counts.get(split, 0), feature_bytes)
    ]


def shard_size(count: int, feature_bytes: int) -> int:
    """Records of a full shard: a few seconds of work, few files, bounded memory."""
    wanted = max(RECORDS_PER_SHARD, math.ceil(count / MOST_SHARDS))
    return max(1, min(wanted, MOST_SHARD_BYTES // feature_bytes))


def _shards_of_split(split: Split, view: int, count: int, feature_bytes: int) -> list[PlannedShard]:
    size = shard_size(count, feature_bytes)
    of = math.ceil(count / size)
    return [
        PlannedShard(
            split=split,
            view=view,
            number=number,
            of=of,
            start=number * size,
            stop=min(count, (number + 1) * size),
        )
        for number in range(of)
    ]
