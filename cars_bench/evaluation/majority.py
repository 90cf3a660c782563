"""What the most frequent class alone would score: the least that any answer has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cars_bench.evaluation.metrics import Estimate, wilson


@dataclass(frozen=True)
class Majority:
    """Saying the most frequent class of the training images for every image of a split.

    Attributes:
        class_name: That class; the first of equals.
        share: Top-1 on the split, with Wilson's 95% interval.
        n: Images of the split.
    """

    class_name: str
    share: Estimate
    n: int


def majority(counts: Mapping[str, Mapping[str, int]], split: str) -> Majority | None:
    """The most frequent class's share of a split; `None` where the split is empty.

    Args:
        counts: Images of each class in each split.
        split: That is answered.
    """
    n = sum(by_split[split] for by_split in counts.values())
    if not n:
        return None
    most = max(counts, key=lambda name: counts[name]["train"])
    return Majority(most, wilson(counts[most][split], n), n)
