"""The memory that a training holds, known before anything is spent.

Cached activations stay on disk until a batch of them is read (`cache.records`), so what is held
are the weights, the copies that the training keeps of them, and what one batch leaves behind in
each layer for the way back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import keras

from cars_bench.errors import InputError
from cars_bench.finetune.prepared_run import RunSketch
from cars_bench.progress import size
from cars_bench.training.engine import RESIDENT_BYTES

FLOAT = 4  # bytes
COPIES = 6
"""Of the trained part: itself, its gradients, the optimizer's two, the best and the current."""
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
RECLAIMABLE = "inactive_file"
"""What a control group counts as used and gives back when it is needed."""


def require_memory(run: RunSketch) -> None:
    """Refuse to begin a training that memory cannot hold.

    Nothing is known of an accelerator's memory, nor of a system that does not tell its own.

    Raises:
        InputError: Says what it needs, what there is, and which batches would fit.
    """
    free = available_bytes()
    if free is None or not run.unfreeze.layers or keras.distribution.list_devices("gpu"):
        return
    batch = min(run.recipe.training.batch_size, len(run.dataset.records("train")))
    fixed, image = fixed_bytes(run), image_bytes(run)
    needed = fixed + batch * image
    if needed <= free:
        return
    fits = max(0, free - fixed) // image
    raise InputError(
        f"Training {run.unfreeze.text} in batches of {batch} holds {size(needed)} of weights and "
        f"activations, and {size(free)} of memory are free; "
        + (f"batches of {fits} would fit." if fits else "no batch would fit."),
        f"batch_size: {fits} in the recipe" if fits else "a smaller --unfreeze, or fewer pixels",
    )


def image_bytes(run: RunSketch) -> int:
    """What one image of a batch leaves in the layers that are trained, and in those above them."""
    model = run.part
    places = [math.prod(shape) for shape in _shapes(model, set(run.unfreeze.layers))]
    return FLOAT * int(math.prod(model.input.shape[1:]) + sum(places))


def fixed_bytes(run: RunSketch) -> int:
    """What is held whatever the batch: the network, copies of its trained part, and on JAX data."""
    whole = run.assembled.whole().count_params()
    weights = FLOAT * (whole + COPIES * run.part.count_params())
    return int(weights) + _resident_bytes(run)


def available_bytes() -> int | None:
    """Of memory that can still be had, by this machine and by its container; `None` unknown."""
    found = list(_free())
    return min(found) if found else None


def _free() -> Iterator[int]:
    if MEMINFO.is_file():
        lines = (line.split() for line in MEMINFO.read_text().splitlines())
        yield from (int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    most, used, told = (CGROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    if most.is_file() and used.is_file() and told.is_file():
        limit = most.read_text().strip()
        stat = dict(line.split() for line in told.read_text().splitlines())
        if limit.isdigit():
            yield int(limit) - int(used.read_text()) + int(stat.get(RECLAIMABLE, 0))


def _shapes(model: keras.Model, trained: set[str]) -> Iterator[tuple[int, ...]]:
    """Outputs of the layers from the first trained one on; below it nothing is kept."""
    begun = False
    for layer in model.layers:
        begun = begun or layer.name in trained
        if begun:
            yield from (item.shape[1:] for item in keras.tree.flatten(layer.output))


def _resident_bytes(run: RunSketch) -> int:
    """Activations that are read at once: on JAX, where they are few (`engine.ScanEngine`)."""
    if keras.backend.backend() != "jax" or run.boundary is None:
        return 0
    images = len(run.dataset.records("train")) * run.recipe.views
    sides = filter(None, (run.image_size, run.early_pixels))
    sizes = [2 * images * math.prod(run.input_shape(pixels)) for pixels in sides]  # float16
    return 2 * sum(data for data in sizes if data <= RESIDENT_BYTES)
