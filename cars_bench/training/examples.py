"""What a model is trained on: the records of a cache, or pictures that are never seen twice alike.

This is the one place that decides which: features of a frozen network were paid
for, so their views are drawn from the cache; the picture itself costs nothing
but decoding, so a network from scratch sees a new view of it each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cars_bench.backbones.catalogue import Preprocessing, is_picture, spec
from cars_bench.cache.decoding import source_of
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.view_boxes import view_boxes
from cars_bench.data.dataset import Dataset, ImageRecord, LabelledImage, Split
from cars_bench.data.object_boxes import ObjectBoxes, object_images
from cars_bench.data.pixels import LiveImages
from cars_bench.data.policies import Policy
from cars_bench.training.engine import Examples, Views, joined

FRESH = 2**31 - 1  # views of a live image: so many that none is drawn twice


def training_examples(cache: FeatureCache, *, box: bool = False, refit: bool = False) -> Examples:
    """Training examples for a head on a cache.

    Args:
        cache: Where its features, or how its pictures are made.
        box: Boxes are learnt too.
        refit: Behind them those of validation.

    Raises:
        CacheCorrupt: A shard is not what the manifest promises.
        DatasetMissing: The pictures' dataset is gone.
        UsageError: As `cached_examples`.
    """
    if is_picture(cache.recipe.backbone):
        return _live_pictures(cache, box, ("train", "val") if refit else ("train",))
    training = cached_examples(cache, "train", box)
    return joined(training, cached_examples(cache, "val", box)) if refit else training


def cached_examples(
    cache: FeatureCache, split: Split, box: bool = False, views: int | None = None
) -> Examples:
    """Stored features of a split, with the boxes of their views where these are learnt.

    Args:
        cache: Of pooled features, maps or pictures.
        split: `train`, `val` or `test`.
        box: Boxes are learnt too.
        views: How many views, from view 0; by default all that are stored.

    Raises:
        UsageError: A box is to be learnt, and the images are cut to theirs or none has one.
    """
    return Examples.of(cache.load(split, views), view_boxes(cache, split, views) if box else None)


def live_examples(
    records: Sequence[ImageRecord],
    size: int,
    policy: Policy,
    seed: int,
    objects: Sequence[LabelledImage] | None = None,
) -> Examples:
    """Images that are augmented anew each time they are trained on.

    Args:
        records: The images.
        size: Side of the square they are resized to, in pixels.
        policy: How views differ from the plain image.
        seed: Of the views.
        objects: The same images with their boxes, where these are learnt.
    """
    labels = np.array([record.label for record in records], np.int64)
    boxes = None if objects is None else ObjectBoxes(objects, policy, seed, FRESH)
    return Examples(LiveImages(records, size, policy, seed, FRESH), labels, boxes)


@dataclass(frozen=True)
class LivePictures:
    """Live images as a cache of pictures holds them: preprocessed.

    Attributes:
        images: The pixels, 0 to 255.
        preprocessing: What is done to them.
    """

    images: Views
    preprocessing: Preprocessing

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, V, S, S, 3)`."""
        return self.images.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def __getitem__(self, index: tuple[Any, Any]) -> npt.NDArray[Any]:
        """Pictures float32 `[B, S, S, 3]` of image and view indices `[B]`.

        Raises:
            InputError: A file is gone, or is not the one that was prepared; names it.
        """
        pixels = self.images[index].astype(np.float32)
        scale, offset = (
            np.asarray(value, np.float32)
            for value in (self.preprocessing.scale, self.preprocessing.offset)
        )
        out: npt.NDArray[Any] = pixels * scale + offset
        return out[..., ::-1] if self.preprocessing.reversed_channels else out


def _live_pictures(cache: FeatureCache, box: bool, splits: Sequence[Split]) -> Examples:
    dataset = Dataset.load(cache.workspace, cache.manifest.dataset)
    source = source_of(cache.recipe, dataset)
    records = [record for split in splits for record in source.records[split]]
    objects = [item for split in splits for item in object_images(dataset, split)] if box else None
    live = live_examples(records, source.image_size, source.policy, source.seed, objects)
    pictures = LivePictures(live.x, spec(cache.recipe.backbone).preprocessing)
    return replace(live, x=pictures)
