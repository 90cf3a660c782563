"""What a run trains, and on what: cached activations of a block, or the images themselves."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Split
from cars_bench.finetune.live import LiveImages
from cars_bench.finetune.prepared_run import Job
from cars_bench.progress import Progress
from cars_bench.training.engine import Examples, joined
from cars_bench.training.pointwise import with_pointwise_products
from cars_bench.workspace import Workspace

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


def gather_training_data(workspace: Workspace, job: Job, progress: Progress) -> TrainingData:
    """Build the trained part and open its examples.

    Where all below a block is frozen these are cached activations of that
    block, extracted now unless they are there; else the images themselves.
    """
    boundary = None if job.recipe.live else job.unfreeze.boundary
    if boundary is None:
        training, validation = _live(job, "train"), _live(job, "val")
        return _material(job, job.assembled.whole(), training, validation, None)
    options = _boundary_options(job, boundary)
    cache = FeatureCache.open(workspace, extract(workspace, options, progress).key)
    train_set, val_set = cache.load("train", job.recipe.views), cache.load("val")
    training = Examples.of(train_set)
    validation = Examples.of(val_set)
    return _material(job, job.assembled.above(boundary), training, validation, cache.key)


def _live(job: Job, split: Split) -> Examples:
    """Images of a split that are augmented anew each time they are trained on."""
    policy, size = job.plan.require_policy(), job.assembled.backbone.image_size
    records = job.dataset.records(split)
    return Examples(LiveImages(records, size, policy, job.plan.seed, FRESH), job.labels(split))


def _material(
    job: Job, model: keras.Model, training: Examples, validation: Examples, key: str | None
) -> TrainingData:
    model = with_pointwise_products(model)
    if not job.plan.refit:
        return TrainingData(model, training, validation, key)
    return TrainingData(model, joined(training, validation), validation, key)


def _boundary_options(job: Job, boundary: str) -> ExtractOptions:
    recipe = job.cache.recipe
    return ExtractOptions(
        dataset=job.dataset.name,
        backbone=recipe.backbone,
        weights=str(job.cache.manifest.extraction["weights"]),
        image_size=recipe.image_size,
        boundary=boundary,
        views=job.recipe.views,
        augment=job.plan.require_policy(),
        runtime="tensorflow" if recipe.runtime == "tensorflow" else "auto",
    )
