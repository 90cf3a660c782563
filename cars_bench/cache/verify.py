"""Rehash and recount a cache, name every damage, and mend just that."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cars_bench.cache.manifest import MANIFEST_FILE, Manifest, read_manifest
from cars_bench.cache.shard_checks import checked_shard
from cars_bench.cache.shards import ShardDamaged
from cars_bench.errors import CacheCorrupt
from cars_bench.progress import Progress


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


@dataclass(frozen=True)
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
        return Verification(folder.name, 0, 0, 0, (finding,))
    found = [*_damaged(folder, manifest, progress), *_strangers(folder, manifest)]
    return Verification(
        folder.name, len(manifest.shards), manifest.records, manifest.bytes, tuple(found)
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
