"""The cached features: their card, a map of the test images, near-duplicates across the split."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from cars_bench.cache.manifest import Manifest
from cars_bench.cache.store import FeatureCache, Features
from cars_bench.errors import CacheUnusable
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.pictures import Strip, contact_strips
from cars_bench.reports.words import Pairs, size

MOST_POINTS = 900
FEWEST_FOR_TSNE = 60
CHUNK = 512
NEAR_DUPLICATES = 24
"""Closest pairs across train and test that are shown."""


@dataclass(frozen=True)
class CacheFacts:
    """The card of the features: (name, value) pairs for people."""

    key: str
    records: int
    bytes: int
    facts: Pairs


@dataclass(frozen=True, kw_only=True)
class Point:
    """One test image on the map; `x` and `y` in [0, 1]; `right` where it was predicted."""

    image_id: str
    label: int
    x: float
    y: float
    predicted: int | None


@dataclass(frozen=True, kw_only=True)
class NearDuplicate:
    """A test image and its nearest training image by cosine of their features."""

    test_id: str
    train_id: str
    test_label: int
    train_label: int
    cosine: float


@dataclass(frozen=True, kw_only=True)
class FeatureFacts:
    """The map and the near-duplicates.

    Attributes:
        method: How the map was made, in words.
        images: Test images that have features; the map shows `points` of them.
        near_duplicates: Closest pairs across train and test, closest first.
        median_cosine: Of all test images to their nearest training image.
    """

    method: str
    images: int
    points: tuple[Point, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    median_cosine: float

    @property
    def least_cosine(self) -> float:
        """At or just below the least alike of `near_duplicates`, to three digits."""
        return math.floor(1000 * min(pair.cosine for pair in self.near_duplicates)) / 1000

    @property
    def predicted(self) -> bool:
        """Whether the answers of a model to these images are known."""
        return any(point.predicted is not None for point in self.points)


def card(inputs: Inputs) -> CacheFacts | None:
    """Describe the feature cache; `None` where it is not on this machine."""
    manifest = inputs.manifest
    if manifest is None:
        return None
    recipe = manifest.recipe
    where = ("Boundary", recipe.boundary) if recipe.boundary else ("Pooling", recipe.pooling)
    pairs = [
        ("Backbone", recipe.backbone),
        where,
        ("Image size", f"{recipe.image_size} px, {recipe.resize}"),
        ("Crop", recipe.crop),
        ("Feature", f"{' × '.join(map(str, manifest.shape))}, {recipe.dtype}"),
        ("Views of a training image", f"{manifest.views('train')}"),
        ("Augmentation", policy(manifest)),
        ("Runtime", f"{recipe.runtime}, {recipe.precision}"),
        ("Records", f"{manifest.records:,} in {len(manifest.shards):,} shards"),
        ("Size", size(manifest.bytes)),
    ]
    if inputs.cost.images:
        pairs.append(("Speed", f"{inputs.cost.images_per_second:,.0f} images/s"))
    return CacheFacts(recipe.key, manifest.records, manifest.bytes, tuple(pairs))


def policy(manifest: Manifest) -> str:
    """The augmentation that stored views show; none where only the plain view is stored."""
    if manifest.views("train") <= 1:
        return "none (plain view only)"
    return manifest.extraction.augment


def figure(inputs: Inputs) -> tuple[Strip, ...]:
    """Pictures of a few training images, as the network sees them."""
    return contact_strips(inputs.dataset, inputs.manifest)


def facts(inputs: Inputs) -> FeatureFacts | None:
    """Read train (view 0) and test features; `None` where there are none, or only boundary ones.

    Raises:
        CacheCorrupt: A shard's bytes are not the promised ones.
    """
    manifest = inputs.manifest
    if manifest is None or manifest.recipe.boundary or not manifest.images("test"):
        return None
    try:
        cache = FeatureCache.open(inputs.workspace, manifest.recipe.key)
    except CacheUnusable:
        return None
    train = cache.load("train", 1)
    test = cache.load("test", 1)
    method, places = project(_flat(test))
    best, cosine = nearest(_flat(test), _flat(train))
    return FeatureFacts(
        method=method,
        images=len(test.labels),
        points=tuple(_points(inputs, test, places)),
        near_duplicates=tuple(_near_duplicates(test, train, best, cosine)),
        median_cosine=float(np.median(cosine)),
    )


def _flat(features: Features) -> np.ndarray:
    return np.asarray(features.x[:, 0], np.float32).reshape(len(features.labels), -1)


def nearest(queries: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest key of each query by cosine, in bounded memory.

    Args:
        queries: float [Q, D].
        keys: float [K, D], K at least 1.

    Returns:
        Row of the nearest key, int [Q]; its cosine, float [Q].
    """
    length_one = _unit(keys)
    rows = []
    values = []
    for start in range(0, len(queries), CHUNK):
        cosine = _unit(queries[start : start + CHUNK]) @ length_one.T
        rows.append(cosine.argmax(axis=1))
        values.append(cosine.max(axis=1))
    return np.concatenate(rows), np.concatenate(values)


def _unit(x: np.ndarray) -> np.ndarray:
    centred = x.astype(np.float32)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: np.ndarray = centred / np.maximum(length, 1e-12)
    return unit


def project(x: np.ndarray, seed: int = 0) -> tuple[str, np.ndarray]:
    """Lay features out flat: principal components, then t-SNE (van der Maaten & Hinton 2008).

    One thread, so that the same features give the same map.

    Args:
        x: float [N, D].
        seed: Of the layout.

    Returns:
        What was done, and places in [0, 1], float [rows, 2], of the rows that `sampled` names.
    """
    x = x[sampled(len(x))]
    with threadpool_limits(1):
        centred = x - x.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        axes = axes[:30] * np.sign(axes[:30, np.abs(axes[:30]).argmax(axis=1)].diagonal())[:, None]
        flat = centred @ axes.T
        if len(x) < FEWEST_FOR_TSNE:
            return "the first two principal components", _square(flat[:, :2])
        layout = TSNE(perplexity=min(30, len(x) // 4), init="pca", random_state=seed)
        return "t-SNE of the first 30 principal components", _square(layout.fit_transform(flat))


def sampled(count: int) -> np.ndarray:
    """Rows that are shown: all, or `MOST_POINTS` spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(int))


def _square(places: np.ndarray) -> np.ndarray:
    low = places.min(axis=0)
    scaled: np.ndarray = (places - low) / np.maximum(places.max(axis=0) - low, 1e-12)
    return scaled


def _points(inputs: Inputs, test: Features, places: np.ndarray) -> list[Point]:
    answers = inputs.answers("finetuned", "test")
    said = answers.by_image if answers else {}
    label_of = {name: label for label, name in enumerate(inputs.class_names)}
    return [
        Point(
            image_id=image_id,
            label=int(test.labels[row]),
            x=round(float(x), 4),
            y=round(float(y), 4),
            predicted=label_of.get(said[image_id].answers[0]) if image_id in said else None,
        )
        for row, (x, y) in zip(sampled(len(test.labels)), places, strict=True)
        for image_id in [test.image_ids[row]]
    ]


def _near_duplicates(
    test: Features, train: Features, best: np.ndarray, cosine: np.ndarray
) -> list[NearDuplicate]:
    order = np.argsort(-cosine, kind="stable")[:NEAR_DUPLICATES]
    return [
        NearDuplicate(
            test_id=test.image_ids[row],
            train_id=train.image_ids[best[row]],
            test_label=int(test.labels[row]),
            train_label=int(train.labels[best[row]]),
            cosine=round(float(cosine[row]), 5),
        )
        for row in order
    ]
