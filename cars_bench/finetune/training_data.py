"""What a run trains, and on what: cached activations of a block, or the images themselves."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.view_boxes import view_boxes
from cars_bench.data.dataset import Split
from cars_bench.data.object_boxes import ObjectBoxes, object_images
from cars_bench.data.pixels import LiveImages
from cars_bench.finetune.prepared_run import PreparedRun
from cars_bench.progress import Progress
from cars_bench.training.engine import Examples, joined
from cars_bench.training.pointwise import with_pointwise_products

FRESH = 2**31 - 1  # views of a live image: so many that none is drawn twice


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
    boundary = None if prepared.recipe.live else prepared.unfreeze.boundary
    if boundary is None:
        model = prepared.assembled.whole()
        training = _live(prepared, "train")
        validation = _live(prepared, "val")
        key = None
    else:
        model = prepared.assembled.above(boundary)
        options = _boundary_options(prepared, boundary)
        key = extract(prepared.workspace, options, progress).key
        cache = FeatureCache.open(prepared.workspace, key)
        training = _cached(cache, "train", prepared.head.spec.box, prepared.recipe.views)
        validation = _cached(cache, "val", prepared.head.spec.box)
    if prepared.plan.refit:
        training = joined(training, validation)
    return TrainingData(with_pointwise_products(model), training, validation, key)


def _live(prepared: PreparedRun, split: Split) -> Examples:
    """Images of a split that are augmented anew each time they are trained on."""
    policy = prepared.plan.require_policy()
    size = prepared.assembled.backbone.image_size
    images = LiveImages(prepared.dataset.records(split), size, policy, prepared.plan.seed, FRESH)
    boxes = None
    if prepared.head.spec.box:
        objects = object_images(prepared.dataset, split)
        boxes = ObjectBoxes(objects, policy, prepared.plan.seed, FRESH)
    return Examples(images, prepared.labels(split), boxes)


def _cached(cache: FeatureCache, split: Split, box: bool, views: int = 1) -> Examples:
    """Activations of a split, on disk, with the boxes of their views where these are learnt."""
    return Examples.of(cache.load(split, views), view_boxes(cache, split, views) if box else None)


def _boundary_options(prepared: PreparedRun, boundary: str) -> ExtractOptions:
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
