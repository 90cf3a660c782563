"""What a run trains, and on what: cached activations of a block, or the images themselves."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Split
from cars_bench.data.object_boxes import object_images
from cars_bench.finetune.prepared_run import PreparedRun, RunSketch
from cars_bench.progress import Progress
from cars_bench.training.engine import Examples, joined
from cars_bench.training.examples import cached_examples, live_examples
from cars_bench.training.pointwise import with_pointwise_products


@dataclass(frozen=True)
class TrainingData:
    """A model with its examples.

    Attributes:
        model: From activations or pixels to logits.
        training: Training examples, after a refit those of validation too.
        validation: Validation examples, plain view.
        boundary_key: Key of the cache of activations; `None` on live images.
    """

    model: keras.Model
    training: Examples
    validation: Examples
    boundary_key: str | None


def gather_training_data(prepared: PreparedRun, progress: Progress) -> TrainingData:
    """Build the trained part and open its examples.

    Where all below a block is frozen these are cached activations of that
    block, extracted now unless they are there; else the images themselves.
    """
    boundary = prepared.boundary
    if boundary is None:
        training = live(prepared, "train")
        validation = live(prepared, "val")
        key = None
    else:
        options = boundary_options(prepared, boundary)
        key = extract(prepared.workspace, options, progress).key
        cache = FeatureCache.open(prepared.workspace, key)
        box = prepared.box
        training = cached_examples(cache, "train", box, prepared.recipe.views)
        validation = cached_examples(cache, "val", box)
    if prepared.plan.refit:
        training = joined(training, validation)
    return TrainingData(trained_model(prepared), training, validation, key)


def trained_model(run: RunSketch) -> keras.Model:
    """The part that is trained, from activations or pixels to logits; `unfreeze` is applied."""
    return with_pointwise_products(run.part)


def live(prepared: RunSketch, split: Split) -> Examples:
    """Images of a split that are augmented anew each time they are trained on."""
    policy = prepared.plan.require_policy()
    size = prepared.assembled.backbone.image_size
    objects = object_images(prepared.dataset, split) if prepared.box else None
    records = prepared.dataset.records(split)
    return live_examples(records, size, policy, prepared.plan.seed, objects)


def boundary_options(prepared: RunSketch, boundary: str) -> ExtractOptions:
    """What the cache of the block's activations is extracted with."""
    recipe = prepared.cache.recipe
    return ExtractOptions(
        dataset=prepared.dataset.name,
        backbone=recipe.backbone,
        weights=prepared.cache.manifest.extraction.weights,
        image_size=recipe.image_size,
        boundary=boundary,
        views=prepared.recipe.views,
        augment=prepared.plan.require_policy(),
        runtime="tensorflow" if recipe.runtime == "tensorflow" else "auto",
    )
