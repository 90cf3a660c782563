"""The disk that a fine-tuning run needs, known before anything is spent."""

from __future__ import annotations

import math

import keras

from cars_bench.cache.manifest import read_manifest
from cars_bench.cache.store import cache_keys
from cars_bench.data.dataset import SPLITS
from cars_bench.errors import CarsBenchError
from cars_bench.finetune.prepared_run import PreparedRun
from cars_bench.workspace import Workspace, require_space

COPIES = 3
"""Of the finished model: whole, its weights alone, and as a SavedModel."""
CHECKPOINTS = 2
"""That lie there at once while the second replaces the first."""
PARTS = 4
"""What a checkpoint holds of each trained part: the best, the current, and the optimizer's two."""


def require_disk(prepared: PreparedRun) -> None:
    """Refuse to begin a run that the disk cannot hold to its end.

    Raises:
        InputError: Says how much it lacks.
    """
    folder = prepared.folder
    folder.mkdir(parents=True, exist_ok=True)
    needed = model_bytes(prepared) + activation_bytes(prepared)
    require_space(folder, needed, f"The run {prepared.plan.run}")


def model_bytes(prepared: PreparedRun) -> int:
    """Of the finished model's files and, on the way, of two checkpoints."""
    whole = _bytes(prepared.assembled.whole())
    if not prepared.unfreeze.layers:
        return COPIES * whole
    return COPIES * whole + CHECKPOINTS * PARTS * _bytes(prepared.part)


def activation_bytes(prepared: PreparedRun) -> int:
    """Of the activations that are still to be cached; 0 where they are, or none are needed.

    What an unfinished cache holds counts as theirs, so it is never too much.
    """
    boundary = prepared.boundary
    if boundary is None or not prepared.unfreeze.layers:
        return 0
    counts = {split: len(prepared.dataset.records(split)) for split in SPLITS}
    images = sum(counts.values()) + counts["train"] * (prepared.recipe.views - 1)
    places = sum(
        math.prod(prepared.input_shape(pixels))
        for pixels in (prepared.image_size, prepared.early_pixels)
        if pixels and not _is_cached(prepared, boundary, pixels)
    )
    needed = images * places * 2  # float16
    return max(0, needed - _unfinished_bytes(prepared.workspace))


def _is_cached(prepared: PreparedRun, boundary: str, pixels: int) -> bool:
    mine = prepared.cache.recipe
    wanted = (mine.dataset_digest, mine.weights_digest, boundary, pixels)
    for key in cache_keys(prepared.workspace):
        try:
            found = read_manifest(prepared.workspace.features / key)
        except CarsBenchError:
            continue
        its = found.recipe
        same = (its.dataset_digest, its.weights_digest, its.boundary, its.image_size) == wanted
        if same and found.views("train") >= prepared.recipe.views:
            return True
    return False


def _unfinished_bytes(workspace: Workspace) -> int:
    folders = [workspace.features / key for key in cache_keys(workspace)]
    return sum(
        path.stat().st_size
        for folder in folders
        if not any(folder.glob("*.json"))
        for path in folder.glob("*.tfrecord")
    )


def _bytes(model: keras.Model) -> int:
    return 4 * int(model.count_params())  # float32
