"""Whether a cache's bytes are what was promised: of one shard, or of all, every damage named."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from cars_bench.cache.manifest import MANIFEST_FILE, Manifest, read_manifest
from cars_bench.cache.shards import (
    ShardDamaged,
    ShardEntry,
    ShardIndex,
    check_width,
    ids_digest,
    index_shard,
)
from cars_bench.errors import CacheCorrupt
from cars_bench.progress import Progress
from cars_bench.workspace import plain_bytes


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True)
class Finding:
    """One damage.

    Attributes:
        file: File name inside the cache's folder.
        reason: What is wrong, as the end of the sentence "FILE ...".
    """

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What `verify` found.

    Attributes:
        key: The cache.
        shards: How many shards were read.
        records: How many records they hold.
        bytes: Their bytes.
        findings: Every damage; empty for a sound cache.
    """

    key: str
    shards: int
    records: int
    bytes: int
    findings: tuple[Finding, ...]


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
    """A shard's bytes; `ShardDamaged` if the file is not there, or is none."""
    try:
        return plain_bytes(path)
    except FileNotFoundError:
        raise ShardDamaged("is missing") from None
    except ValueError:
        raise ShardDamaged("is a folder or a pipe, not a file") from None


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
    return ShardEntry(
        file=path.name,
        split=expected.split,
        view=expected.view,
        records=len(index.image_ids),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        ids_sha256=ids_digest(index.image_ids),
    )


def verify(folder: Path, progress: Progress) -> Verification:
    """Read every byte of a cache and compare it with the manifest.

    Args:
        folder: `cache/features/KEY`.
        progress: Counts the shards.

    Raises:
        CacheMissing: There is no finished cache.
    """
    try:
        manifest = read_manifest(folder)
    except CacheCorrupt as damage:
        reason = damage.message.removeprefix(f"{folder / MANIFEST_FILE} ").rstrip(".")
        finding = Finding(MANIFEST_FILE, reason)
        return Verification(key=folder.name, shards=0, records=0, bytes=0, findings=(finding,))
    found = [*_damaged(folder, manifest, progress), *_strangers(folder, manifest)]
    return Verification(
        key=folder.name,
        shards=len(manifest.shards),
        records=manifest.records,
        bytes=manifest.bytes,
        findings=tuple(found),
    )


def _damaged(folder: Path, manifest: Manifest, progress: Progress) -> list[Finding]:
    found = []
    order: dict[tuple[str, int], str] = {}
    with progress.stage(f"Verifying {folder.name}", len(manifest.shards), "shards") as task:
        for entry in manifest.shards:
            try:
                _, index = checked_shard(folder, entry)
            except ShardDamaged as damage:
                found.append(Finding(entry.file, damage.reason))
            else:
                repeated = _repeated(order, entry.split, entry.view, index.image_ids)
                if repeated:
                    found.append(Finding(entry.file, repeated))
            task.advance()
    return found


def _repeated(last: dict[tuple[str, int], str], split: str, view: int, image_ids: list[str]) -> str:
    """Ids stand in sorted order within a split and view, so a repetition shows as a step back."""
    before = last.get((split, view))
    names = image_ids if before is None else [before, *image_ids]
    last[split, view] = image_ids[-1]
    for earlier, later in pairwise(names):
        if later <= earlier:
            return f"holds {later} out of order or twice"
    return ""


def _strangers(folder: Path, manifest: Manifest) -> list[Finding]:
    """Shards that the manifest does not list, and leftovers of a killed run."""
    listed = {entry.file for entry in manifest.shards}
    files = sorted([*folder.glob("*.tfrecord"), *folder.glob(".*.tmp")])
    return [
        Finding(path.name, "is a foreign file: the manifest does not list it")
        for path in files
        if path.name not in listed
    ]


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
