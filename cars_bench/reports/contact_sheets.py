"""What the networks see: views of a few training images, by each augmentation that was used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cars_bench.backbones.catalogue import is_picture
from cars_bench.cache.decoding import ImageSource, source_of
from cars_bench.cache.manifest import Manifest
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CarsBenchError
from cars_bench.finetune.plan import read_plan
from cars_bench.finetune.runs import Run
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.pictures import MOST_VIEWS, Strip, contact_strips

MOST_SHEETS = 3
CACHE = "The cache of features"
SCRATCH = "Training from scratch, on live views"


@dataclass(frozen=True)
class Sheet:
    """Training images as one training sees them.

    Attributes:
        title: Whose views they are.
        policy: Name of the augmentation policy.
        ranges: What it holds, in words.
        strips: An image each; at least one.
    """

    title: str
    policy: str
    ranges: str
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class _Views:
    """Views to be drawn: the pixels' source, and how many of an image."""

    title: str
    source: ImageSource
    count: int


def contact_sheets(inputs: Inputs) -> tuple[Sheet, ...]:
    """The views of the cache, then those of each run whose policy is not shown yet.

    At most `MOST_SHEETS`; none where the images are not here, or are no longer those of the cache.
    """
    sheets: list[Sheet] = []
    shown = []
    for views in _views(inputs):
        policy = views.source.policy
        if len(sheets) == MOST_SHEETS or (views.count > 1 and policy.to_json() in shown):
            continue
        strips = _drawn(views)
        if strips:
            sheets.append(Sheet(views.title, policy.name, policy.describe(), strips))
        if views.count > 1:
            shown.append(policy.to_json())
    return tuple(sheets)


def _views(inputs: Inputs) -> Iterator[_Views]:
    dataset = inputs.dataset
    if dataset is None:
        return
    if inputs.manifest:
        yield from _stored(CACHE, inputs.manifest, dataset)
    for run in sorted(inputs.runs, key=lambda run: run is not inputs.run):
        if run.record.epochs:
            yield from _of_run(inputs, run, dataset)


def _of_run(inputs: Inputs, run: Run, dataset: Dataset) -> Iterator[_Views]:
    title = f"The run {run.name}"
    key = run.record.boundary_cache_key
    if key in inputs.boundaries:
        yield from _stored(title, inputs.boundaries[key], dataset)
    elif key is None:
        yield from _live(title, run, dataset)


def _stored(title: str, manifest: Manifest, dataset: Dataset) -> Iterator[_Views]:
    """The views that a cache holds; of a cache of pictures those that training sees live."""
    if dataset.digest != manifest.recipe.dataset_digest:
        return
    try:
        source = source_of(manifest.recipe, dataset, manifest.extraction.augment)
    except CarsBenchError:
        return
    if is_picture(manifest.recipe.backbone):
        yield _Views(SCRATCH, source, MOST_VIEWS)
    else:
        yield _Views(title, source, manifest.views("train"))


def _live(title: str, run: Run, dataset: Dataset) -> Iterator[_Views]:
    """The first of the views that training on live images draws from."""
    try:
        policy = read_plan(run.folder).recorded_policy()
    except CarsBenchError:
        return
    source = ImageSource(dataset, run.record.backbone.image_size, policy, run.record.seed)
    yield _Views(title, source, MOST_VIEWS)


def _drawn(views: _Views) -> tuple[Strip, ...]:
    """The strips; none where an image is gone or changed."""
    try:
        return contact_strips(views.source, views.count)
    except CarsBenchError:
        return ()
