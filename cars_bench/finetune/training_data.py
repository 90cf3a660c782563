"""What a run trains, and on what: cached activations of a block, or the images themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Split
from cars_bench.finetune.live import LiveImages
from cars_bench.finetune.prepared_run import Job
from cars_bench.progress import Progress
from cars_bench.training.engine import Examples, Views
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


@dataclass(frozen=True)
class Joined:
    """Two arrays of stored activations behind one another.

    Where the second has fewer views than the first, its views repeat.

    Attributes:
        first: `[N, V, ...]`.
        second: `[M, W, ...]`, W at most V.
    """

    first: Views
    second: Views

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N + M, V, ...)`."""
        count, *rest = self.first.shape
        return (count + self.second.shape[0], *rest)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the first."""
        return self.first.dtype

    def __getitem__(self, index: tuple[Any, Any]) -> npt.NDArray[Any]:
        """Activations of image and view indices, broadcast against each other."""
        images, views = np.broadcast_arrays(*index)
        count = self.first.shape[0]
        here, there = images < count, images >= count
        out = np.empty((*images.shape, *self.shape[2:]), self.dtype)
        if here.any():
            out[here] = self.first[images[here], views[here]]
        if there.any():
            own = views[there] % self.second.shape[1]
            out[there] = self.second[images[there] - count, own]
        return out


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
    training = Examples(train_set.x, train_set.labels)
    validation = Examples(val_set.x, val_set.labels)
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
    labels = np.concatenate([training.labels, validation.labels])
    both = Examples(Joined(training.x, validation.x), labels)
    return TrainingData(model, both, validation, key)


def _boundary_options(job: Job, boundary: str) -> ExtractOptions:
    recipe = job.cache.recipe
    return ExtractOptions(
        dataset=job.dataset.name,
        backbone=recipe.backbone,
        weights=job.cache.manifest.extraction.weights,
        image_size=recipe.image_size,
        boundary=boundary,
        views=job.recipe.views,
        augment=job.plan.require_policy(),
        runtime="tensorflow" if recipe.runtime == "tensorflow" else "auto",
    )
