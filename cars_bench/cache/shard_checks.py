"""Whether one shard is the shard that its manifest promises, and what is wrong if not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cars_bench.cache.shards import (
    ShardDamaged,
    ShardEntry,
    ShardIndex,
    check_width,
    ids_digest,
    index_shard,
)


def checked_shard(folder: Path, entry: ShardEntry) -> tuple[bytes, ShardIndex]:
    """Read one shard whole and compare it with its entry: count, bytes and SHA-256.

    Returns:
        Its bytes, and where each record lies in them.

    Raises:
        ShardDamaged: Says what is wrong.
    """
    data = read_shard(folder / entry.file)
    if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ShardDamaged(_diagnosis(data, entry))
    index = index_shard(data, checksums=False)
    if len(index.image_ids) != entry.records:
        raise ShardDamaged(f"holds {len(index.image_ids)} records, not {entry.records}")
    if ids_digest(index.image_ids) != entry.ids_sha256 or not (index.views == entry.view).all():
        raise ShardDamaged("holds other images or another view than the manifest says")
    return data, index


def read_shard(path: Path) -> bytes:
    """A shard's bytes; `ShardDamaged` if the file is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ShardDamaged("is missing") from None


@dataclass(frozen=True)
class Expected:
    """What a shard must hold, known before it is written.

    Attributes:
        split: `train`, `val` or `test`.
        view: View of all its records.
        image_ids: Its images, in order.
        labels: Their labels.
        dtype: Of the features.
        shape: Of one feature.
    """

    split: str
    view: int
    image_ids: list[str]
    labels: list[int]
    dtype: np.dtype
    shape: tuple[int, ...]


def accepted_shard(path: Path, expected: Expected) -> ShardEntry:
    """Accept a finished shard of an unfinished cache, by its content alone.

    Every checksum is compared, and the records must be exactly the images
    planned for it.

    Raises:
        ShardDamaged: It has to be written again.
    """
    data = read_shard(path)
    index = index_shard(data)
    check_width(index, expected.dtype, expected.shape)
    if index.image_ids != expected.image_ids or index.labels.tolist() != expected.labels:
        raise ShardDamaged("holds other images")
    if not (index.views == expected.view).all():
        raise ShardDamaged("holds another view")
    names, digest = index.image_ids, hashlib.sha256(data).hexdigest()
    return ShardEntry(
        path.name, expected.split, expected.view, len(names), len(data), digest, ids_digest(names)
    )


def _diagnosis(data: bytes, entry: ShardEntry) -> str:
    """Name the damage of bytes that are not the promised ones."""
    try:
        index = index_shard(data)
    except ShardDamaged as damage:
        return damage.reason
    names = index.image_ids
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        count = f"{len(names)} records, not {entry.records}"
        return f"holds a duplicated record ({twice} twice), {count}"
    if len(names) < entry.records:
        return f"is cut: it holds {len(names)} of {entry.records} records"
    if ids_digest(names) != entry.ids_sha256 or not (index.views == entry.view).all():
        return "is a foreign shard: it holds other images or another view"
    return "is a foreign shard: its records are sound but not the ones that were written"
