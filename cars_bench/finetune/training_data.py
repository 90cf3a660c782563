"""What a run trains, and on what: cached activations of a block, or the images themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import keras

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Split
from cars_bench.data.object_boxes import object_images
from cars_bench.finetune.prepared_run import PreparedRun, RunSketch
from cars_bench.progress import Progress, plural
from cars_bench.training.engine import Examples, joined
from cars_bench.training.examples import cached_examples, live_examples
from cars_bench.training.loop import EarlyExamples
from cars_bench.training.products import with_products


@dataclass(frozen=True)
class TrainingData:
    """A model with its examples.

    Attributes:
        model: From activations or pixels to logits.
        training: Training examples, after a refit those of validation too.
        validation: Validation examples, plain view.
        boundary_key: Key of the cache of activations; `None` on live images.
        early: What the first epochs are trained on, where their images are smaller.
    """

    model: keras.Model
    training: Examples
    validation: Examples
    boundary_key: str | None
    early: EarlyExamples | None = None


class _Gathered(NamedTuple):
    """Examples of images of one size."""

    training: Examples
    validation: Examples
    boundary_key: str | None


def gather_training_data(prepared: PreparedRun, progress: Progress) -> TrainingData:
    """Build the trained part and open its examples.

    Where all below a block is frozen these are cached activations of that
    block, extracted now unless they are there; else the images themselves.
    """
    found = _gathered(prepared, prepared.image_size, progress)
    return TrainingData(trained_model(prepared), *found, _early(prepared, progress))


def trained_model(run: RunSketch, pixels: int | None = None) -> keras.Model:
    """The part that is trained, from activations or pixels to logits; `unfreeze` is applied.

    Args:
        run: Whose part it is.
        pixels: Side of the images, where it is not the run's own.
    """
    return with_products(run.part, None if pixels is None else run.input_shape(pixels))


def _early(prepared: PreparedRun, progress: Progress) -> EarlyExamples | None:
    pixels = prepared.early_pixels
    if pixels is None:
        return None
    training = _gathered(prepared, pixels, progress).training
    epochs = prepared.recipe.early.count(prepared.recipe.training.epochs)
    progress.log(f"The first {plural(epochs, 'epoch')} take images of {pixels} pixels")
    return EarlyExamples(trained_model(prepared, pixels), training, epochs)


def _gathered(prepared: PreparedRun, pixels: int, progress: Progress) -> _Gathered:
    boundary = prepared.boundary
    if boundary is None:
        training, validation = (live(prepared, split, pixels) for split in ("train", "val"))
        key = None
    else:
        options = boundary_options(prepared, boundary, pixels)
        key = extract(prepared.workspace, options, progress).key
        cache = FeatureCache.open(prepared.workspace, key)
        box = prepared.box
        training = cached_examples(cache, "train", box, prepared.recipe.views)
        validation = cached_examples(cache, "val", box)
    if prepared.plan.refit:
        training = joined(training, validation)
    return _Gathered(training, validation, key)


def live(prepared: RunSketch, split: Split, size: int) -> Examples:
    """Images of a split, of a side in pixels, that are augmented anew each time."""
    policy = prepared.plan.require_policy()
    objects = object_images(prepared.dataset, split) if prepared.box else None
    records = prepared.dataset.records(split)
    return live_examples(records, size, policy, prepared.plan.seed, objects)


def boundary_options(prepared: RunSketch, boundary: str, pixels: int) -> ExtractOptions:
    """What the cache of the block's activations of images of that side is extracted with."""
    recipe = prepared.cache.recipe
    return ExtractOptions(
        dataset=prepared.dataset.name,
        backbone=recipe.backbone,
        weights=prepared.cache.manifest.extraction.weights,
        image_size=pixels,
        boundary=boundary,
        views=prepared.recipe.views,
        augment=prepared.plan.require_policy(),
        runtime="tensorflow" if recipe.runtime == "tensorflow" else "auto",
    )
