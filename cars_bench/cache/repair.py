"""Extract again just what `verify` found damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cars_bench.cache.extract import run_pass
from cars_bench.cache.extraction import Extraction, prepare_extraction
from cars_bench.cache.manifest import legible_origin, read_manifest
from cars_bench.cache.options import ExtractOptions, ExtractResult
from cars_bench.errors import CacheCorrupt, CacheStale, CarsBenchError, UsageError
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


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
