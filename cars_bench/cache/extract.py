"""The one expensive pass: a frozen backbone over every image, into shards; killed, it goes on."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from cars_bench.atomic import write_json
from cars_bench.cache.extraction import (
    RANGE_FILE,
    Extraction,
    OutOfRange,
    prepare_extraction,
)
from cars_bench.cache.manifest import (
    MANIFEST_FILE,
    Manifest,
    add_cost,
    legible_origin,
    read_manifest,
)
from cars_bench.cache.options import ExtractOptions, ExtractResult
from cars_bench.cache.shards import Batch, PlannedShard, ShardDamaged, ShardEntry, write_shard
from cars_bench.cache.store import lock_path
from cars_bench.cache.verify import Expected, accepted_shard
from cars_bench.errors import (
    CacheCorrupt,
    CacheMissing,
    CacheStale,
    CarsBenchError,
    UsageError,
)
from cars_bench.progress import Progress, Task
from cars_bench.workspace import Workspace, locked, require_space

RECORD_OVERHEAD_BYTES = 100


def extract(workspace: Workspace, options: ExtractOptions, progress: Progress) -> ExtractResult:
    """Make, finish, extend or mend the cache that `options` describe.

    Shards that are already there and sound are kept; the manifest comes last.
    It becomes the default of later commands, unless it is a boundary cache, since such
    ones are made for `finetune`.

    Raises:
        DatasetMissing: No dataset.
        WeightsUnavailable: No weights.
        LockHeld: Another process is extracting the same cache.
        InputError: An image changed since it was prepared, or the disk is too small.
        UsageError: Options that do not fit together.
    """
    extraction = prepare_extraction(workspace, options, progress)
    if options.dry_run:
        return forecast(workspace, extraction, options.views)
    result = run_pass(workspace, extraction, progress)
    if options.boundary is None:
        workspace.remember("cache", key=result.key, **options.to_settings())
    return result


def run_pass(workspace: Workspace, extraction: Extraction, progress: Progress) -> ExtractResult:
    """Write what is missing or damaged of the extraction's cache.

    Raises:
        LockHeld: Another process is extracting the same cache.
        InputError: An image changed since it was prepared, or the disk is too small.
    """
    try:
        return _locked_pass(workspace, extraction, progress)
    except _TooNarrow as problem:
        progress.log(f"Warning: starting again in float32, because {problem}.")
        return _locked_pass(workspace, extraction.in_float32(), progress)


class _TooNarrow(Exception):
    """A feature met during the pass does not fit into float16."""


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """One run over one key, under its lock.

    Attributes:
        workspace: Where the cost is written down.
        extraction: Images and network.
        folder: The cache's folder.
        previous: The manifest of an earlier run, if it is sound.
        progress: Where to say what happens.
    """

    workspace: Workspace
    extraction: Extraction
    folder: Path
    previous: Manifest | None
    progress: Progress

    @property
    def views(self) -> int:
        """Views of the train split: never fewer than there are."""
        stored_views = self.previous.views("train") if self.previous else 1
        return max(self.extraction.options.views, stored_views)

    def run(self) -> ExtractResult:
        _remove(self.folder.glob(".*.tmp"))
        shards = self.extraction.shards(self.views)
        kept = self._kept(shards)
        missing = [shard for shard in shards if shard.file not in kept]
        self._check_space(missing)
        started = time.perf_counter()
        made = self._write(missing)
        seconds = time.perf_counter() - started
        entries = [(kept | made)[shard.file] for shard in shards]
        self._finish(entries)
        return self._result(entries, set(made), seconds)

    def _kept(self, shards: list[PlannedShard]) -> dict[str, ShardEntry]:
        """Sound shards of earlier runs, by file name."""
        promised = {item.file: item for item in self.previous.shards} if self.previous else {}
        kept: dict[str, ShardEntry] = {}
        for shard in shards:
            path = self.folder / shard.file
            if not path.exists():
                continue
            try:
                entry = accepted_shard(path, self._expected(shard))
                if promised.get(shard.file, entry) != entry:
                    raise ShardDamaged("is not the one that the manifest promises")
                kept[shard.file] = entry
            except ShardDamaged as damage:
                self.progress.log(f"{shard.file} {damage.reason}; it is extracted again")
        return kept

    def _expected(self, shard: PlannedShard) -> Expected:
        records = self.extraction.records(shard)
        return Expected(
            split=shard.split,
            view=shard.view,
            image_ids=[record.image_id for record in records],
            labels=[record.label for record in records],
            dtype=self.extraction.dtype,
            shape=self.extraction.shape,
        )

    def _check_space(self, missing: list[PlannedShard]) -> None:
        require_space(self.folder, _bytes_of(self.extraction, missing), "The cache")

    def _write(self, missing: list[PlannedShard]) -> dict[str, ShardEntry]:
        if not missing:
            self.progress.log("All that is asked for is cached already")
            return {}
        total = sum(shard.records for shard in missing)
        made: dict[str, ShardEntry] = {}
        with (
            self.progress.stage("Extracting", total, "images") as task,
            closing(self._batches(missing, task)) as batches,
        ):
            for shard in missing:
                begun = task.seconds
                count = -(-shard.records // self.extraction.batch_size)
                made[shard.file] = write_shard(
                    self.folder / shard.file, shard.split, shard.view, islice(batches, count)
                )
                seconds = task.seconds - begun
                add_cost(self.workspace, self.extraction.recipe.key, shard.records, seconds)
                rate = task.done / max(task.seconds, 1e-9)
                task.line(f"{shard.file}: {task.done:,} of {total:,}, {rate:.1f} images/s")
        return made

    def _batches(self, missing: list[PlannedShard], task: Task) -> Generator[Batch, None, None]:
        """All batches of all missing shards, counted."""
        try:
            for batch in self.extraction.batches(missing):
                task.advance(len(batch.image_ids))
                yield batch
        except OutOfRange as problem:
            raise self._too_narrow(problem) from problem

    def _too_narrow(self, problem: OutOfRange) -> Exception:
        """What to raise; a finished float16 cache is left alone, an unfinished one is given up."""
        name = problem.image_id
        if self.previous is not None:
            return CarsBenchError(f"{name}: {problem}.", "extract with --dtype float32")
        _remove(self.folder.iterdir())
        write_json(self.folder / RANGE_FILE, {"image_id": name, "reason": str(problem)})
        return _TooNarrow(f"{problem} ({name})")

    def _finish(self, entries: list[ShardEntry]) -> None:
        """Write the manifest, if it says anything new, after removing shards it does not list."""
        listed = {entry.file for entry in entries}
        _remove(path for path in self.folder.glob("*.tfrecord") if path.name not in listed)
        if self.previous is None or list(self.previous.shards) != entries:
            self.extraction.manifest(entries).write(self.folder)

    def _result(self, entries: list[ShardEntry], made: set[str], seconds: float) -> ExtractResult:
        written = sum(entry.records for entry in entries if entry.file in made)
        total = sum(entry.records for entry in entries)
        return _answer(
            self.extraction,
            self.folder,
            records=total,
            bytes=sum(entry.bytes for entry in entries),
            images_per_second=round(written / seconds, 2) if written else 0.0,
            seconds=round(seconds, 3),
            views=self.views,
            written=written,
            reused=total - written,
        )


def _locked_pass(workspace: Workspace, extraction: Extraction, progress: Progress) -> ExtractResult:
    key = extraction.recipe.key
    folder = workspace.features / key
    with locked(lock_path(workspace, key), f"The extraction of cache {key}"):
        folder.mkdir(parents=True, exist_ok=True)
        return _Pass(
            workspace=workspace,
            extraction=extraction,
            folder=folder,
            previous=_previous(folder, progress),
            progress=progress,
        ).run()


def _previous(folder: Path, progress: Progress) -> Manifest | None:
    try:
        return read_manifest(folder)
    except CacheMissing:
        return None
    except CacheCorrupt as damage:
        progress.log(f"{damage.message} It is written again.")
        (folder / MANIFEST_FILE).unlink()
        return None


def _remove(paths: Iterator[Path]) -> None:
    for path in list(paths):
        path.unlink()


def _bytes_of(extraction: Extraction, shards: list[PlannedShard]) -> int:
    record_bytes = extraction.feature_bytes + RECORD_OVERHEAD_BYTES
    return sum(shard.records for shard in shards) * record_bytes


def forecast(workspace: Workspace, extraction: Extraction, views: int) -> ExtractResult:
    """What a pass to so many views would do; shards that are there are counted, not read."""
    folder = workspace.features / extraction.recipe.key
    shards = extraction.shards(views)
    missing = [shard for shard in shards if not (folder / shard.file).exists()]
    images = sum(shard.records for shard in missing)
    total = sum(shard.records for shard in shards)
    return _answer(
        extraction,
        folder,
        records=total,
        bytes=_bytes_of(extraction, shards),
        images_per_second=round(1 / extraction.seconds_per_image, 2),
        seconds=round(images * extraction.seconds_per_image, 2),
        views=views,
        written=images,
        reused=total - images,
        dry_run=True,
    )


def _answer(extraction: Extraction, folder: Path, **counted: Any) -> ExtractResult:
    """What was counted, beside what the extraction tells of itself."""
    return ExtractResult(
        key=extraction.recipe.key,
        runtime=extraction.network.runner.name,
        precision=extraction.network.runner.precision,
        why=extraction.network.why,
        dtype=extraction.recipe.dtype,
        shape=extraction.shape,
        folder=str(folder),
        **counted,
    )


def repair(workspace: Workspace, key: str, progress: Progress) -> ExtractResult:
    """Write the damaged and missing shards of a cache again, and its manifest if need be.

    How it was made is read from its manifest, damaged or not, and failing that
    from the settings; whatever does not lead to the same key is not used.

    Raises:
        CacheStale: Images, weights or software have changed: it cannot be made again.
    """
    for options in _recorded(workspace, workspace.features / key):
        extraction = _prepared(workspace, options, progress)
        if extraction is not None and extraction.recipe.key == key:
            return run_pass(workspace, extraction, progress)
    raise CacheStale(
        f"The cache {key} cannot be made again: its images, weights, runtime or settings changed.",
        f"cars-bench cache rm {key}, then cars-bench extract",
    )


def _prepared(
    workspace: Workspace, options: ExtractOptions, progress: Progress
) -> Extraction | None:
    """What the options lead to, or nothing if they no longer lead anywhere."""
    try:
        return prepare_extraction(workspace, options, progress)
    except CarsBenchError as error:
        progress.log(f"Cannot mend as recorded: {error.message}")
        return None


def _recorded(workspace: Workspace, folder: Path) -> Iterator[ExtractOptions]:
    """What may have been asked for, the likeliest first."""
    try:
        manifest = read_manifest(folder)
    except CacheCorrupt:
        yield from _guessed(workspace, folder)
    else:
        yield ExtractOptions.of(manifest.origin, max(1, manifest.views("train")))


def _guessed(workspace: Workspace, folder: Path) -> Iterator[ExtractOptions]:
    """What a damaged manifest still tells, then what the settings say."""
    views = _views_present(folder)
    legible = _legible(folder, views)
    if legible is not None:
        yield legible
    yield replace(ExtractOptions.resolve(workspace), views=views)


def _legible(folder: Path, views: int) -> ExtractOptions | None:
    origin = legible_origin(folder)
    try:
        return None if origin is None else ExtractOptions.of(origin, views)
    except (ValueError, TypeError, UsageError):
        return None


def _views_present(folder: Path) -> int:
    """Views without a gap, as the shards' file names tell."""
    views = 1
    while any(folder.glob(f"train-view{views:02d}-*.tfrecord")):
        views += 1
    return views
