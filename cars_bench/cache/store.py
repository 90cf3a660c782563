"""Opening and reading a feature cache; nothing is used before it was verified."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cars_bench.cache.keys import KEY_DIGITS, FeatureRecipe, titles
from cars_bench.cache.manifest import MANIFEST_FILE, REPAIR, Manifest, cost_path, read_manifest
from cars_bench.cache.records import Records
from cars_bench.cache.shards import (
    Batch,
    ShardDamaged,
    ShardEntry,
    ShardIndex,
    check_width,
    features_of,
)
from cars_bench.cache.verify import checked_shard
from cars_bench.data.card import read_card
from cars_bench.data.dataset import Dataset
from cars_bench.errors import (
    CacheCorrupt,
    CacheMissing,
    CacheStale,
    CarsBenchError,
    DatasetMissing,
    UsageError,
    known,
)
from cars_bench.workspace import Workspace, locked

_KEY = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")


@dataclass(frozen=True)
class Features:
    """One split's features, in the dataset's split order.

    Attributes:
        image_ids: N unique names.
        labels: int64 [N].
        x: [N, V, *shape] of the stored dtype: in memory for pooled features, a
            `Records` read on demand for maps.  View 0 is the plain image.
    """

    image_ids: list[str]
    labels: np.ndarray
    x: np.ndarray | Records


@dataclass(frozen=True)
class FeatureCache:
    """A complete cache.

    Attributes:
        folder: `cache/features/KEY`.
        manifest: What it holds.
    """

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, workspace: Workspace, key_prefix: str | None = None) -> FeatureCache:
        """Open a cache by a prefix of its key, by default the last one made or used.

        If its dataset is still there, it must be the one the cache was made from.

        Raises:
            CacheMissing: None was extracted, or not this one, or it is unfinished.
            CacheCorrupt: Its manifest was edited.
            CacheStale: Its dataset has changed since.
        """
        folder = workspace.features / resolve_key(workspace, key_prefix)
        cache = cls(folder, read_manifest(folder))
        cache.check_dataset(workspace)
        return cache

    @property
    def recipe(self) -> FeatureRecipe:
        """Everything that can change its features."""
        return self.manifest.recipe

    @property
    def key(self) -> str:
        """Its folder's name."""
        return self.folder.name

    @property
    def workspace(self) -> Workspace:
        """Where it lies, in `cache/features/`."""
        return Workspace(self.folder.parents[2])

    def check_dataset(self, workspace: Workspace) -> None:
        """Compare with the dataset, where that is still present.

        Raises:
            CacheStale: Names what differs.
        """
        name = self.manifest.dataset
        try:
            read_card(workspace.dataset(name))
        except DatasetMissing:
            return
        dataset = Dataset.load(workspace, name)
        now = {"dataset_digest": dataset.digest, "crop": dataset.crop}
        differing = [field for field in now if getattr(self.recipe, field) != now[field]]
        if differing:
            raise CacheStale(
                f"The cache {self.key} is stale: {titles(differing)} of {name!r} changed since.",
                "cars-bench extract",
            )

    def load(self, split: str, views: int | None = None) -> Features:
        """Verify and read one split; the files of other splits are not touched.

        Args:
            split: `train`, `val` or `test`.
            views: How many views, from view 0; by default all that are stored.

        Raises:
            CacheCorrupt: A shard is not what the manifest promises.
            UsageError: Fewer views are stored.
        """
        count = self.manifest.images(split)
        stored = self._views(split, views)
        labels = np.empty(count, np.int64)
        names: list[str] = []
        sink = self._sink(count, stored)
        for piece in self._pieces(split, stored):
            sink.take(piece)
            if piece.view == 0:
                names.extend(piece.index.image_ids)
                labels[piece.rows] = piece.index.labels
        return Features(names, labels, sink.result())

    def stream(self, split: str, view: int = 0) -> Iterator[Batch]:
        """Verified records, one shard at a time, in bounded memory.

        Raises:
            CacheCorrupt: A shard is not what the manifest promises.
        """
        manifest = self.manifest
        for entry in manifest.select(split, view):
            data, index = self._checked(entry)
            features = features_of(data, index, manifest.dtype, manifest.shape)
            yield Batch(index.image_ids, index.labels, view, features)

    def _views(self, split: str, views: int | None) -> int:
        stored = self.manifest.views(split)
        wanted = stored if views is None else views
        if not 0 <= wanted <= stored or (views is not None and views < 1):
            raise UsageError(
                f"The cache {self.key} holds {stored} views of {split}, not {wanted}.",
                f"cars-bench extract --views {wanted}",
            )
        return wanted

    def _sink(self, count: int, views: int) -> _Located | _InMemory:
        kind = _Located if self.manifest.holds_maps else _InMemory
        return kind(self, count, max(views, 1))

    def _pieces(self, split: str, views: int) -> Iterator[_Piece]:
        """Every verified shard of the first `views` views, checked to be in one order."""
        names: list[str] = []
        for view in range(views):
            start = 0
            for entry in self.manifest.select(split, view):
                data, index = self._checked(entry)
                rows = slice(start, start + entry.records)
                if view == 0:
                    names.extend(index.image_ids)
                elif names[rows] != index.image_ids:
                    raise CacheCorrupt(
                        f"{self.folder / entry.file} is not in view 0's order.", REPAIR
                    )
                yield _Piece(view=view, rows=rows, entry=entry, data=data, index=index)
                start = rows.stop
        if len(set(names)) != len(names):
            raise CacheCorrupt(f"The cache {self.key} holds an image of {split} twice.", REPAIR)

    def _checked(self, entry: ShardEntry) -> tuple[bytes, ShardIndex]:
        try:
            return checked_shard(self.folder, entry)
        except ShardDamaged as damage:
            raise CacheCorrupt(f"{self.folder / entry.file} {damage.reason}.", REPAIR) from damage


def resolve_key(workspace: Workspace, prefix: str | None = None) -> str:
    """The whole key of the cache that `prefix` begins, by default the last one made or used.

    Raises:
        CacheMissing: There is none.
        UsageError: Several begin so.
    """
    chosen = prefix or workspace.settings().get("cache", {}).get("key")
    if not chosen:
        raise CacheMissing("No features have been extracted here yet.", "cars-bench extract")
    keys = cache_keys(workspace)
    found = [name for name in keys if name.startswith(chosen)]
    if not found:
        raise CacheMissing(
            f"There is no cache {chosen}{known(keys)}.",
            "cars-bench extract, or cars-bench cache ls",
        )
    if len(found) > 1:
        raise UsageError(f"{chosen!r} begins several caches: {', '.join(found)}.", "add a digit")
    return found[0]


def cache_keys(workspace: Workspace) -> list[str]:
    """Keys of all caches, unfinished ones included, in alphabetical order."""
    if not workspace.features.is_dir():
        return []
    return sorted(path.name for path in workspace.features.iterdir() if _KEY.fullmatch(path.name))


def holds_maps(workspace: Workspace, prefix: str | None = None) -> bool:
    """Whether a cache's records are maps; also `False` where none can be opened.

    That there is none is said by whoever opens it to read from it.
    """
    with contextlib.suppress(CarsBenchError):
        return FeatureCache.open(workspace, prefix).manifest.holds_maps
    return False


def lock_path(workspace: Workspace, key: str) -> Path:
    """The lock of one cache; outside its folder, so that the folder holds only what is cached."""
    return workspace.features / ".locks" / key


def remove(workspace: Workspace, key: str) -> int:
    """Delete a cache, finished or not; the manifest first, so that no part looks whole.

    Returns:
        Bytes freed.

    Raises:
        LockHeld: It is being extracted.
    """
    folder = workspace.features / key
    with locked(lock_path(workspace, key), f"The extraction of cache {key}"):
        freed = sum(path.stat().st_size for path in folder.iterdir())
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder)
        cost_path(workspace, key).unlink(missing_ok=True)
    return freed


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """One verified shard and its place in the split."""

    view: int
    rows: slice
    entry: ShardEntry
    data: bytes
    index: ShardIndex


class _InMemory:
    """Collects pooled features: [N, V, *shape]."""

    def __init__(self, cache: FeatureCache, count: int, views: int) -> None:
        self.manifest = cache.manifest
        self.x = np.empty((count, views, *self.manifest.shape), self.manifest.dtype)

    def take(self, piece: _Piece) -> None:
        self.x[piece.rows, piece.view] = features_of(
            piece.data, piece.index, self.manifest.dtype, self.manifest.shape
        )

    def result(self) -> np.ndarray:
        return self.x


class _Located:
    """Collects where the features of a cache of maps lie."""

    def __init__(self, cache: FeatureCache, count: int, views: int) -> None:
        self.cache = cache
        self.files: list[Path] = []
        self.file_of = np.empty((count, views), np.int32)
        self.offset_of = np.empty((count, views), np.int64)

    def take(self, piece: _Piece) -> None:
        manifest = self.cache.manifest
        check_width(piece.index, manifest.dtype, manifest.shape)
        self.file_of[piece.rows, piece.view] = len(self.files)
        self.offset_of[piece.rows, piece.view] = piece.index.offsets
        self.files.append(self.cache.folder / piece.entry.file)

    def result(self) -> Records:
        manifest = self.cache.manifest
        return Records(
            files=tuple(self.files),
            file_of=self.file_of,
            offset_of=self.offset_of,
            feature_shape=manifest.shape,
            dtype=manifest.dtype,
        )
