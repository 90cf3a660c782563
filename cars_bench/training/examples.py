"""What a model is trained on: the records of a cache, or pictures that are never seen twice alike.

This is the one place that decides which: features of a frozen network were paid
for, so their views are drawn from the cache; the picture itself costs nothing
but decoding, so a network from scratch sees a new view of it each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cars_bench.backbones.catalogue import Preprocessing, spec
from cars_bench.cache.decoding import source_of
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, ImageRecord, Split
from cars_bench.data.pixels import LiveImages
from cars_bench.data.policies import Policy
from cars_bench.training.engine import Examples, Views, joined

FRESH = 2**31 - 1  # views of a live image: so many that none is drawn twice


def training_examples(cache: FeatureCache, *, refit: bool = False) -> Examples:
    """Training examples for a head on a cache.

    Args:
        cache: Where its features, or how its pictures are made.
        refit: Behind them those of validation.

    Raises:
        CacheCorrupt: A shard is not what the manifest promises.
        DatasetMissing: The pictures' dataset is gone.
    """
    if not spec(cache.recipe.backbone).is_network:
        return _live_pictures(cache, ("train", "val") if refit else ("train",))
    training = Examples.of(cache.load("train"))
    return joined(training, Examples.of(cache.load("val"))) if refit else training


def live_examples(records: Sequence[ImageRecord], size: int, policy: Policy, seed: int) -> Examples:
    """Images that are augmented anew each time they are trained on.

    Args:
        records: The images.
        size: Side of the square they are resized to, in pixels.
        policy: How views differ from the plain image.
        seed: Of the views.
    """
    labels = np.array([record.label for record in records], np.int64)
    return Examples(LiveImages(records, size, policy, seed, FRESH), labels)


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


def _live_pictures(cache: FeatureCache, splits: Sequence[Split]) -> Examples:
    source = source_of(cache.recipe, Dataset.load(cache.workspace, cache.manifest.dataset))
    records = [record for split in splits for record in source.records[split]]
    live = live_examples(records, source.image_size, source.policy, source.seed)
    preprocessing = spec(cache.recipe.backbone).preprocessing
    return Examples(LivePictures(live.x, preprocessing), live.labels)
