"""Extract again just what `verify` found damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cars_bench.cache.extract import run_pass
from cars_bench.cache.manifest import MANIFEST_FILE, read_manifest
from cars_bench.cache.options import ExtractOptions, ExtractResult
from cars_bench.cache.setup import Setup, prepare_setup
from cars_bench.data.policies import Policy
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
        setup = _setup(workspace, options, progress)
        if setup is not None and setup.recipe.key == key:
            return run_pass(workspace, setup, progress)
    raise CacheStale(
        f"The cache {key} cannot be made again: its images, weights, runtime or settings changed.",
        f"cars-bench cache rm {key}, then cars-bench extract",
    )


def _setup(workspace: Workspace, options: ExtractOptions, progress: Progress) -> Setup | None:
    """What the options lead to, or nothing if they no longer lead anywhere."""
    try:
        return prepare_setup(workspace, options, progress)
    except CarsBenchError as error:
        progress.log(f"Cannot mend as recorded: {error.message}")
        return None


def _recorded(workspace: Workspace, folder: Path) -> Iterator[ExtractOptions]:
    """What may have been asked for, the likeliest first."""
    views = _views_present(folder)
    try:
        yield _from_manifest(read_manifest(folder).to_json())
        return
    except CacheCorrupt:
        legible = _legible(folder)
    if legible is not None:
        yield replace(legible, views=views)
    yield replace(ExtractOptions.resolve(workspace), views=views)


def _legible(folder: Path) -> ExtractOptions | None:
    """What a damaged manifest still tells, if anything."""
    try:
        return _from_manifest(json.loads((folder / MANIFEST_FILE).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError):
        return None


def _from_manifest(document: dict[str, Any]) -> ExtractOptions:
    recipe, extraction = document["recipe"], document["extraction"]
    return ExtractOptions(
        backbone=recipe["backbone"],
        weights=extraction["weights"],
        image_size=recipe["image_size"],
        pooling=recipe["pooling"] if recipe["boundary"] is None else ExtractOptions.pooling,
        views=1 + max(int(shard["view"]) for shard in document["shards"]),
        augment=Policy(extraction["augment"], **json.loads(recipe["augment"])),
        seed=recipe["augment_seed"],
        dtype=recipe["dtype"],
        runtime=recipe["runtime"],
        batch_size=extraction["batch_size"],
        boundary=recipe["boundary"],
        dataset=document["dataset"],
    )


def _views_present(folder: Path) -> int:
    """Views without a gap, as the shards' file names tell."""
    views = 1
    while any(folder.glob(f"train-view{views:02d}-*.tfrecord")):
        views += 1
    return views
