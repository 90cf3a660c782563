"""The cached features: their card, and a map of the test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from cars_bench.backbones.catalogue import is_picture
from cars_bench.cache.manifest import Manifest
from cars_bench.progress import size
from cars_bench.reports.contact_sheets import Sheet, contact_sheets
from cars_bench.reports.image_features import ImageFeatures
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.words import Pairs

MOST_POINTS = 900
FEWEST_FOR_TSNE = 60


@dataclass(frozen=True, kw_only=True)
class CacheFacts:
    """The card of the features: (name, value) pairs for people.

    `pictures`: these are the pictures themselves, on which networks are trained from scratch.
    """

    key: str
    records: int
    bytes: int
    facts: Pairs
    pictures: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """One test image on the map; `x` and `y` in [0, 1]; `right` where it was predicted."""

    image_id: str
    label: int
    x: float
    y: float
    predicted: int | None


@dataclass(frozen=True, kw_only=True)
class FeatureFacts:
    """The map.

    Attributes:
        method: How it was made, in words.
        images: Test images that have features; it shows `points` of them.
        model: Whose answers the points show, in words; empty where there are none.
    """

    method: str
    images: int
    points: tuple[Point, ...]
    model: str = ""

    @property
    def predicted(self) -> bool:
        """Whether the answers of a model to these images are known."""
        return bool(self.model)


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
        ("Views of a training image", _views(manifest)),
        ("Augmentation", policy(manifest)),
        ("Runtime", f"{recipe.runtime}, {recipe.precision}"),
        ("Records", f"{manifest.records:,} in {len(manifest.shards):,} shards"),
        ("Size", size(manifest.bytes)),
    ]
    if inputs.cost.images:
        pairs.append(("Speed", f"{inputs.cost.images_per_second:,.0f} images/s"))
    return CacheFacts(
        key=recipe.key,
        records=manifest.records,
        bytes=manifest.bytes,
        facts=tuple(pairs),
        pictures=is_picture(recipe.backbone),
    )


def _views(manifest: Manifest) -> str:
    if is_picture(manifest.recipe.backbone):
        return "a new one each time; the plain one is stored"
    return f"{manifest.views('train')}"


def policy(manifest: Manifest) -> str:
    """The augmentation that views show; none where the plain view is all that is trained on."""
    if manifest.views("train") <= 1 and not is_picture(manifest.recipe.backbone):
        return "none (plain view only)"
    return manifest.extraction.augment


def figure(inputs: Inputs) -> tuple[Sheet, ...]:
    """Pictures of a few training images, as the networks see them."""
    return contact_sheets(inputs)


def facts(inputs: Inputs) -> FeatureFacts | None:
    """Lay out the test images by their features; `None` where there are none.

    Raises:
        CacheCorrupt: A shard's bytes are not the promised ones.
    """
    found = inputs.features
    test = found.rows("test") if found else np.array([], int)
    if found is None or not test.size:
        return None
    method, places = project(found.x[test])
    shown = test[sampled(len(test))]
    answered = inputs.last_answers("test")
    return FeatureFacts(
        method=method,
        images=len(test),
        points=tuple(_points(inputs, found, shown, places)),
        model=inputs.called(answered[0]) if answered else "",
    )


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


def _points(
    inputs: Inputs, found: ImageFeatures, shown: np.ndarray, places: np.ndarray
) -> list[Point]:
    answered = inputs.last_answers("test")
    said = answered[1].by_image if answered else {}
    label_of = {name: label for label, name in enumerate(inputs.class_names)}
    return [
        Point(
            image_id=image_id,
            label=int(found.labels[row]),
            x=round(float(x), 4),
            y=round(float(y), 4),
            predicted=label_of.get(said[image_id].answers[0]) if image_id in said else None,
        )
        for row, (x, y) in zip(shown, places, strict=True)
        for image_id in [found.image_ids[row]]
    ]
