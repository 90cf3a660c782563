"""Which shards a cache consists of: fixed by the dataset's counts and the feature's size alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cars_bench.data.dataset import SPLITS, Split

RECORDS_PER_SHARD = 256
MOST_SHARDS = 1024
MOST_SHARD_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class PlannedShard:
    """A slice of one split's images in one view.

    Attributes:
        split: `train`, `val` or `test`.
        view: 0 is the plain image.
        number: 0-based among the shards of this split and view.
        of: How many those are.
        start: First image of the slice, in split order.
        stop: One past the last.
    """

    split: Split
    view: int
    number: int
    of: int
    start: int
    stop: int

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.split}-view{self.view:02d}-{self.number:05d}-of-{self.of:05d}.tfrecord"

    @property
    def records(self) -> int:
        """How many records it holds."""
        return self.stop - self.start


def planned_shards(counts: dict[str, int], views: int, feature_bytes: int) -> list[PlannedShard]:
    """All shards of a cache, by view, then split, then number.

    Only the train split has views above 0.

    Args:
        counts: Images of each split.
        views: Views of the train split, 1 or more.
        feature_bytes: Bytes of one feature.
    """
    return [
        shard
        for view in range(views)
        for split in SPLITS
        if view == 0 or split == "train"
        for shard in _shards_of_split(split, view, counts.get(split, 0), feature_bytes)
    ]


def shard_size(count: int, feature_bytes: int) -> int:
    """Records of a full shard: a few seconds of work, few files, bounded memory."""
    wanted = max(RECORDS_PER_SHARD, math.ceil(count / MOST_SHARDS))
    return max(1, min(wanted, MOST_SHARD_BYTES // feature_bytes))


def _shards_of_split(split: Split, view: int, count: int, feature_bytes: int) -> list[PlannedShard]:
    size = shard_size(count, feature_bytes)
    of = math.ceil(count / size)
    return [
        PlannedShard(
            split=split,
            view=view,
            number=number,
            of=of,
            start=number * size,
            stop=min(count, (number + 1) * size),
        )
        for number in range(of)
    ]
