"""Stratified splits, decided by image before anything else happens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby

from cars_bench.data.dataset import SPLITS
from cars_bench.errors import UsageError

ROUNDING = 1e-6
VAL_OF_TRAIN = 0.1
"""Share of train that becomes validation where a source knows only train and test."""
TEST_OF_TRAIN = 0.15
"""Share of train that becomes test where a source knows only train and validation."""


def parse_split(text: str) -> dict[str, float]:
    """Read `65/20/15` as shares of train, val and test.

    Raises:
        UsageError: Not three positive numbers that add up to 100.
    """
    try:
        parts = [float(part) for part in text.split("/")]
    except ValueError:
        parts = []
    if len(parts) != len(SPLITS) or not _shares_of_hundred(parts):
        raise UsageError(
            f"--split {text} is not train/val/test in positive percentages that make 100.",
            "--split 65/20/15, or --split column for the split in the label file",
        )
    return {name: part / 100 for name, part in zip(SPLITS, parts, strict=True)}


def _shares_of_hundred(parts: list[float]) -> bool:
    return all(part > 0 for part in parts) and abs(sum(parts) - 100) <= ROUNDING


def stratified(
    image_ids: Sequence[str], class_names: Sequence[str], shares: Mapping[str, float], seed: int
) -> list[str]:
    """Deal images to splits so that each class and the whole keep the shares.

    Within a class the order is a hash of (seed, image_id).  Images are dealt
    one by one to the split that lags furthest behind its share, counted over
    the whole and over the class; the first image of a class goes to the
    largest split, so every class can be learnt.

    Args:
        image_ids: Names of the images, unique.
        class_names: Class of each image.
        shares: Share of each split; they add up to 1.
        seed: Another seed gives another split.

    Returns:
        The split of each image, in the order given.
    """
    pairs = zip(class_names, image_ids, strict=True)
    order = sorted(pairs, key=lambda pair: (pair[0], _rank(seed, pair[1]), pair[1]))
    dealt: dict[str, str] = {}
    total = dict.fromkeys(shares, 0)
    for _, members in groupby(order, key=lambda pair: pair[0]):
        own = dict.fromkeys(shares, 0)
        for _, image_id in members:
            chosen = _furthest_behind(shares, own, total)
            own[chosen] += 1
            total[chosen] += 1
            dealt[image_id] = chosen
    return [dealt[image_id] for image_id in image_ids]


def _rank(seed: int, image_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{image_id}".encode()).digest()


def _furthest_behind(
    shares: Mapping[str, float], own: Mapping[str, int], total: Mapping[str, int]
) -> str:
    if not any(own.values()):
        return max(shares, key=lambda name: shares[name])
    own_count = sum(own.values()) + 1
    all_count = sum(total.values()) + 1

    def lag(name: str) -> float:
        lag_own = shares[name] * own_count - own[name]
        lag_all = shares[name] * all_count - total[name]
        return lag_own + lag_all

    return max(shares, key=lag)
