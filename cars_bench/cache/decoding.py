"""Pixels for the network: decoded, cut and resized in threads, ahead of it, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from cars_bench.cache.keys import FeatureRecipe
from cars_bench.data.dataset import SPLITS, Dataset, ImageRecord
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.data.pixels import prepared_view
from cars_bench.data.policies import Policy
from cars_bench.errors import CacheStale
from cars_bench.in_order import in_order

BATCHES_AHEAD = 3


@dataclass(frozen=True)
class ImageSource:
    """Where a cache's pixels come from.

    Attributes:
        dataset: Images, boxes and the crop.
        image_size: Side of the square in pixels.
        policy: How views above 0 differ from the plain image.
        seed: Seed of those views.
        records: The images of each split, in split order.
    """

    dataset: Dataset
    image_size: int
    policy: Policy
    seed: int
    records: dict[str, list[ImageRecord]] = field(init=False)

    def __post_init__(self) -> None:
        records = {split: self.dataset.records(split) for split in SPLITS}
        object.__setattr__(self, "records", records)

    @property
    def counts(self) -> dict[str, int]:
        """Images of each split."""
        return {split: len(records) for split, records in self.records.items()}

    def pixels(self, record: ImageRecord, view: int) -> np.ndarray:
        """One view of one image: uint8 [S, S, 3], RGB 0..255.

        Raises:
            InputError: The file is gone, or is not the one that was prepared.
        """
        return prepared_view(record, self.image_size, self.policy, self.seed, view)


def source_of(
    recipe: FeatureRecipe, dataset: Dataset, policy_name: str = "recorded"
) -> ImageSource:
    """The pixels a recipe was extracted from.

    Args:
        recipe: Of the cache.
        dataset: Its images.
        policy_name: What people call the recipe's policy.

    Raises:
        CacheStale: This version of cars-bench resizes in another way.
    """
    if recipe.resize != RESIZE_METHOD:
        raise CacheStale(
            f"The cache was made with another resize ({recipe.resize}).", "extract again"
        )
    return ImageSource(
        dataset=dataset,
        image_size=recipe.image_size,
        policy=recipe.policy(policy_name),
        seed=recipe.augment_seed,
    )


@dataclass(frozen=True)
class ImageBatch:
    """Images that are decoded and fed to the network together, in one view."""

    records: list[ImageRecord]
    view: int

    @property
    def image_ids(self) -> list[str]:
        """One id a record."""
        return [record.image_id for record in self.records]


def image_batches(records: list[ImageRecord], view: int, batch_size: int) -> list[ImageBatch]:
    """Cut records into batches; only the last may be smaller."""
    starts = range(0, len(records), batch_size)
    return [ImageBatch(records[start : start + batch_size], view) for start in starts]


@contextmanager
def decoder(source: ImageSource, threads: int | None = None) -> Iterator[Decoder]:
    """A decoder whose threads end with the body."""
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="decode")
    try:
        yield Decoder(source, pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Decoder:
    """Turns batches of images into pixels, in order, at most `BATCHES_AHEAD` batches ahead.

    Attributes:
        source: Where the pixels come from.
        pool: Its threads; Pillow releases the GIL while it decodes and resizes.
    """

    source: ImageSource
    pool: ThreadPoolExecutor

    def pixels(self, batches: Iterable[ImageBatch]) -> Iterator[tuple[ImageBatch, np.ndarray]]:
        """Each batch with its pixels, uint8 [n, S, S, 3]."""
        begun = (partial(_ready, batch, self._begun(batch)) for batch in batches)
        return in_order(begun, BATCHES_AHEAD + 1)

    def _begun(self, batch: ImageBatch) -> list[Future[np.ndarray]]:
        pixels = self.source.pixels
        return [self.pool.submit(pixels, record, batch.view) for record in batch.records]


def _ready(batch: ImageBatch, futures: list[Future[np.ndarray]]) -> tuple[ImageBatch, np.ndarray]:
    return batch, np.stack([future.result() for future in futures])
