"""The one expensive pass: a frozen backbone over every image, into shards; killed, it goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from cars_bench.cache.cost import add_cost
from cars_bench.cache.decoding import Decoder, Job, decoder, jobs_of
from cars_bench.cache.dtypes import OutOfRange, stored
from cars_bench.cache.manifest import MANIFEST_FILE, Manifest, read_manifest
from cars_bench.cache.options import ExtractOptions, ExtractResult
from cars_bench.cache.setup import RANGE_FILE, Setup, prepare_setup
from cars_bench.cache.shard_checks import Expected, accepted_shard
from cars_bench.cache.shard_plan import PlannedShard
from cars_bench.cache.shards import Batch, ShardDamaged, ShardEntry, write_shard
from cars_bench.cache.store import lock_path
from cars_bench.errors import CacheCorrupt, CacheMissing, CarsBenchError, InputError
from cars_bench.progress import Progress, Task
from cars_bench.workspace import Workspace, locked, write_json

RECORD_OVERHEAD_BYTES = 100
_GIB = 2**30


def extract(workspace: Workspace, options: ExtractOptions, progress: Progress) -> ExtractResult:
    """Make, finish, extend or mend the cache that `options` describe.

    Shards that are already there and sound are kept; the manifest comes last.
    A pooled cache becomes the default of later commands; a boundary cache does
    not, since it is only for `finetune`.

    Raises:
        DatasetMissing: No dataset.
        WeightsUnavailable: No weights.
        LockHeld: Another process is extracting the same cache.
        InputError: An image changed since it was prepared, or the disk is too small.
        UsageError: Options that do not fit together.
    """
    setup = prepare_setup(workspace, options, progress)
    if options.dry_run:
        return _forecast(workspace, setup)
    result = run_pass(workspace, setup, progress)
    if options.boundary is None:
        workspace.remember("cache", key=result.key, **options.to_settings())
    return result


def run_pass(workspace: Workspace, setup: Setup, progress: Progress) -> ExtractResult:
    """Write what is missing or damaged of the setup's cache.

    Raises:
        LockHeld: Another process is extracting the same cache.
        InputError: An image changed since it was prepared, or the disk is too small.
    """
    try:
        return _locked_pass(workspace, setup, progress)
    except _TooNarrow as problem:
        progress.log(f"Warning: starting again in float32, because {problem}.")
        return _locked_pass(workspace, setup.in_float32(), progress)


class _TooNarrow(Exception):
    """A feature met during the pass does not fit into float16."""


@dataclass(frozen=True)
class _Pass:
    """One run over one key, under its lock.

    Attributes:
        workspace: Where the cost is written down.
        setup: Images and network.
        folder: The cache's folder.
        previous: The manifest of an earlier run, if it is sound.
        progress: Where to say what happens.
    """

    workspace: Workspace
    setup: Setup
    folder: Path
    previous: Manifest | None
    progress: Progress

    @property
    def views(self) -> int:
        """Views of the train split: never fewer than there are."""
        stored_views = self.previous.views("train") if self.previous else 1
        return max(self.setup.options.views, stored_views)

    def run(self) -> ExtractResult:
        _remove(self.folder.glob(".*.tmp"))
        shards = self.setup.plan(self.views)
        kept = self._kept(shards)
        missing = [shard for shard in shards if shard.file not in kept]
        self._check_space(missing)
        started = time.perf_counter()
        made = self._write(missing)
        seconds = time.perf_counter() - started
        entries = [(kept | made)[shard.file] for shard in shards]
        self._finish(entries)
        return _result(self.setup, self.folder, entries, self.views, list(made), seconds)

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
        records = self.setup.records(shard)
        names, labels = [item.image_id for item in records], [item.label for item in records]
        return Expected(shard.split, shard.view, names, labels, self.setup.dtype, self.setup.shape)

    def _check_space(self, missing: list[PlannedShard]) -> None:
        needed = _bytes_of(self.setup, missing)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"The cache needs {needed / _GIB:.2f} GiB more, "
                f"and {self.folder} has only {free / _GIB:.2f} GiB free.",
                "free some space, or choose another --workspace",
            )

    def _write(self, missing: list[PlannedShard]) -> dict[str, ShardEntry]:
        if not missing:
            self.progress.log("All that is asked for is cached already")
            return {}
        total = sum(shard.records for shard in missing)
        made: dict[str, ShardEntry] = {}
        with (
            decoder(self.setup.source) as threads,
            self.progress.stage("Extracting", total, "images") as task,
        ):
            features = self._features(threads, missing, task)
            for shard in missing:
                begun = task.seconds
                batches = -(-shard.records // self.setup.batch_size)
                path = self.folder / shard.file
                made[shard.file] = write_shard(
                    path, shard.split, shard.view, islice(features, batches)
                )
                key, seconds = self.setup.recipe.key, task.seconds - begun
                add_cost(self.workspace, key, shard.records, seconds)
                rate = task.done / max(task.seconds, 1e-9)
                task.line(f"{shard.file}: {task.done:,} of {total:,}, {rate:.1f} images/s")
        return made

    def _features(
        self, threads: Decoder, missing: list[PlannedShard], task: Task
    ) -> Iterator[Batch]:
        """All batches of all missing shards; a batch never crosses a shard's end."""
        batches = threads.batches(self._jobs(missing))
        for job, features in self.setup.choice.runner.stream(batches):
            names = [record.image_id for record in job.records]
            labels = np.array([record.label for record in job.records], np.int64)
            batch = Batch(names, labels, job.view, self._stored(features, names))
            task.advance(len(names))
            yield batch

    def _jobs(self, missing: list[PlannedShard]) -> Iterator[Job]:
        for shard in missing:
            records = self.setup.records(shard)
            yield from jobs_of(records, shard.view, self.setup.batch_size)

    def _stored(self, features: np.ndarray, names: list[str]) -> np.ndarray:
        try:
            return stored(features, self.setup.recipe.dtype, names)
        except OutOfRange as problem:
            name = names[problem.number]
            if self.previous is not None:
                raise CarsBenchError(
                    f"{name}: {problem}.", "extract with --dtype float32"
                ) from problem
            _remove(self.folder.iterdir())
            write_json(self.folder / RANGE_FILE, {"image_id": name, "reason": str(problem)})
            raise _TooNarrow(f"{problem} ({name})") from problem

    def _finish(self, entries: list[ShardEntry]) -> None:
        """Write the manifest, if it says anything new, after removing shards it does not list."""
        listed = {entry.file for entry in entries}
        _remove(path for path in self.folder.glob("*.tfrecord") if path.name not in listed)
        if self.previous is None or list(self.previous.shards) != entries:
            self.setup.manifest(entries).write(self.folder)


def _locked_pass(workspace: Workspace, setup: Setup, progress: Progress) -> ExtractResult:
    key = setup.recipe.key
    folder = workspace.features / key
    with locked(lock_path(workspace, key), f"The extraction of cache {key}"):
        folder.mkdir(parents=True, exist_ok=True)
        return _Pass(workspace, setup, folder, _previous(folder, progress), progress).run()


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


def _bytes_of(setup: Setup, shards: list[PlannedShard]) -> int:
    return sum(shard.records for shard in shards) * (setup.feature_bytes + RECORD_OVERHEAD_BYTES)


def _forecast(workspace: Workspace, setup: Setup) -> ExtractResult:
    """What the pass would do; shards that are there are counted, not read."""
    folder = workspace.features / setup.recipe.key
    shards = setup.plan(setup.options.views)
    missing = [shard for shard in shards if not (folder / shard.file).exists()]
    images, total = sum(s.records for s in missing), sum(s.records for s in shards)
    runner = setup.choice.runner
    return ExtractResult(
        key=setup.recipe.key,
        records=total,
        bytes=_bytes_of(setup, shards),
        images_per_second=round(1 / setup.seconds_per_image, 2),
        seconds=round(images * setup.seconds_per_image, 2),
        runtime=runner.name,
        precision=runner.precision,
        why=setup.choice.why,
        dtype=setup.recipe.dtype,
        shape=setup.shape,
        views=setup.options.views,
        written=images,
        reused=total - images,
        folder=str(folder),
        dry_run=True,
    )


def _result(
    setup: Setup,
    folder: Path,
    entries: list[ShardEntry],
    views: int,
    made: list[str],
    seconds: float,
) -> ExtractResult:
    written = sum(entry.records for entry in entries if entry.file in made)
    total = sum(entry.records for entry in entries)
    runner = setup.choice.runner
    return ExtractResult(
        key=setup.recipe.key,
        records=total,
        bytes=sum(entry.bytes for entry in entries),
        images_per_second=round(written / seconds, 2) if written else 0.0,
        seconds=round(seconds, 3),
        runtime=runner.name,
        precision=runner.precision,
        why=setup.choice.why,
        dtype=setup.recipe.dtype,
        shape=setup.shape,
        views=views,
        written=written,
        reused=total - written,
        folder=str(folder),
    )
