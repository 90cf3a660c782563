"""Pictures that look the same to the backbone: across the splits, and within one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cars_bench.data.dataset import SPLITS
from cars_bench.reports.image_features import ImageFeatures
from cars_bench.reports.inputs import Inputs

CHUNK = 512
MOST_ACROSS = 24
MOST_WITHIN = 12
"""Closest pairs that are shown."""
ALIKE = 0.99
"""Cosine from which two pictures are counted as one photograph."""
MOST_EXACT = 10_000
"""Images up to which every pair is held against each other in all dimensions."""
SKETCH = 128
"""Dimensions of the random projection that finds the neighbours among more."""
NAMES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Side:
    """One of the two images."""

    image_id: str
    split: str
    class_name: str

    @property
    def words(self) -> str:
        """What it is, such as `training image`."""
        return f"{NAMES[self.split]} image"


@dataclass(frozen=True)
class NearDuplicate:
    """Two images and the cosine of their features; `same_file` where they are so byte for byte."""

    first: Side
    second: Side
    cosine: float
    same_file: bool

    @property
    def across(self) -> bool:
        """Whether they stand in two splits."""
        return self.first.split != self.second.split

    @property
    def relabelled(self) -> bool:
        """Whether they stand under two labels."""
        return self.first.class_name != self.second.class_name


@dataclass(frozen=True, kw_only=True)
class NearDuplicateFacts:
    """Every image is held against its nearest one of each split.

    Attributes:
        images: How many there are.
        pairs: The closest across the splits, then the closest within one; each closest first.
        median: Cosine of an image to its nearest other one, at the median.
        tested: Images of the test split.
        known: How many of them have a training or validation image at `ALIKE` or more.
        seen: Which ones these are.
    """

    images: int
    pairs: tuple[NearDuplicate, ...]
    median: float
    tested: int
    known: int
    seen: tuple[str, ...]

    @property
    def least(self) -> float:
        """At or just below the least alike of `pairs`, to three digits."""
        return math.floor(1000 * min(pair.cosine for pair in self.pairs)) / 1000


def facts(inputs: Inputs) -> NearDuplicateFacts | None:
    """Find the closest pairs; `None` where there are no features, or but one image."""
    found = inputs.features
    if found is None or len(found.labels) == 1:
        return None
    splits = np.array([SPLITS.index(split) for split in found.splits])
    rows, cosines = nearest(found.x, splits)
    test = splits == SPLITS.index("test")
    others = [split for split in range(cosines.shape[1]) if split != SPLITS.index("test")]
    alike = cosines[:, others].max(axis=1, initial=-1.0) >= ALIKE
    seen = tuple(found.image_ids[row] for row in np.flatnonzero(test & alike))
    across: list[NearDuplicate] = []
    within: list[NearDuplicate] = []
    for pair in _pairs(inputs, found, rows, cosines):
        (across if pair.across else within).append(pair)
        if len(across) >= MOST_ACROSS and len(within) >= MOST_WITHIN:
            break
    return NearDuplicateFacts(
        images=len(found.labels),
        pairs=(*across[:MOST_ACROSS], *within[:MOST_WITHIN]),
        median=float(np.median(cosines.max(axis=1))),
        tested=int(test.sum()),
        known=len(seen),
        seen=seen,
    )


def nearest(x: np.ndarray, splits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other image of each split, by cosine, in bounded memory.

    Args:
        x: float [N, D].
        splits: int [N], 0 to S - 1.

    Returns:
        Its row, int [N, S]; the cosine, float [N, S], -inf where a split has no other image.
    """
    order = np.argsort(splits, kind="stable")
    unit = _unit(x[order])
    searched = unit if len(unit) <= MOST_EXACT else _unit(unit @ _projection(unit.shape[1]))
    ends = np.cumsum(np.bincount(splits))
    rows = np.zeros((len(unit), len(ends)), np.int64)
    cosines = np.full(rows.shape, -np.inf, np.float32)
    for start in range(0, len(unit), CHUNK):
        own = np.arange(start, min(start + CHUNK, len(unit)))
        alike = searched[own] @ searched.T
        alike[own - start, own] = -np.inf
        for split, (low, high) in enumerate(pairwise((0, *ends))):
            if high > low:
                best = low + alike[:, low:high].argmax(axis=1)
                exact = (unit[own] * unit[best]).sum(axis=1)
                rows[order[own], split] = order[best]
                cosines[order[own], split] = np.where(best == own, -np.inf, exact)
    return rows, cosines


def _unit(x: np.ndarray) -> np.ndarray:
    raw = x.astype(np.float32)
    length = np.linalg.norm(raw, axis=1, keepdims=True)
    return np.asarray(raw / np.maximum(length, 1e-12), np.float32)


def _projection(width: int) -> np.ndarray:
    """Random directions, which keep angles nearly as they are (Johnson & Lindenstrauss 1984)."""
    return np.random.default_rng(0).normal(size=(width, SKETCH)).astype(np.float32)


def _pairs(
    inputs: Inputs, found: ImageFeatures, rows: np.ndarray, cosines: np.ndarray
) -> Iterator[NearDuplicate]:
    """Every pair once, the closest first."""
    digests = _digests(inputs)
    order = np.argsort(-cosines, axis=None, kind="stable")
    seen = set()
    for image, split in zip(*np.unravel_index(order, cosines.shape), strict=True):
        if not np.isfinite(cosines[image, split]):
            return
        pair = tuple(sorted((int(image), int(rows[image, split])), reverse=True))
        if pair in seen:
            continue
        seen.add(pair)
        first = _side(inputs, found, pair[0])
        second = _side(inputs, found, pair[1])
        same = digests.get(first.image_id, "") == digests.get(second.image_id, "none")
        yield NearDuplicate(first, second, round(float(cosines[image, split]), 5), same)


def _digests(inputs: Inputs) -> dict[str, str]:
    if inputs.dataset is None:
        return {}
    table = inputs.dataset.table
    return dict(zip(table["image_id"], table["sha256"], strict=True))


def _side(inputs: Inputs, found: ImageFeatures, row: int) -> Side:
    name = inputs.class_names[int(found.labels[row])]
    return Side(found.image_ids[row], found.splits[row], name)
