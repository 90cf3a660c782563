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
from cars_bench.finetune.prepared_run import PreparedRun
from cars_bench.progress import Progress
from cars_bench.training.engine import Examples, Views
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
        here = images < count
        there = ~here
        out = np.empty((*images.shape, *self.shape[2:]), self.dtype)
        if here.any():
            out[here] = self.first[images[here], views[here]]
        if there.any():
            own = views[there] % self.second.shape[1]
            out[there] = self.second[images[there] - count, own]
        return out


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
        training = _cached(cache, "train", prepared.recipe.views)
        validation = _cached(cache, "val")
    if prepared.plan.refit:
        training = _joined(training, validation)
    return TrainingData(with_pointwise_products(model), training, validation, key)


def _live(prepared: PreparedRun, split: Split) -> Examples:
    """Images of a split that are augmented anew each time they are trained on."""
    policy = prepared.plan.require_policy()
    size = prepared.assembled.backbone.image_size
    images = LiveImages(prepared.dataset.records(split), size, policy, prepared.plan.seed, FRESH)
    return Examples(images, prepared.labels(split))


def _cached(cache: FeatureCache, split: Split, views: int = 1) -> Examples:
    """Activations of a split, on disk."""
    stored = cache.load(split, views)
    return Examples(stored.x, stored.labels)


def _joined(training: Examples, validation: Examples) -> Examples:
    labels = np.concatenate([training.labels, validation.labels])
    return Examples(Joined(training.x, validation.x), labels)


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
