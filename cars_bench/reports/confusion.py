"""The wrong cells of the confusion matrix, as rows that anyone can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Confusion:
    """`count` of the `of` test images of class `true` were called `predicted`."""

    true: str
    predicted: str
    count: int
    of: int


def off_diagonal(
    matrix: Sequence[tuple[int, int, int]], names: Sequence[str]
) -> tuple[Confusion, ...]:
    """Every pair of different classes that occurred, most first.

    Args:
        matrix: (true label, predicted label, count) of every cell that is not empty.
        names: Class names; the index is the label.
    """
    sizes: Counter[int] = Counter()
    for true, _, count in matrix:
        sizes[true] += count
    wrong = [cell for cell in matrix if cell[0] != cell[1]]
    ordered = sorted(wrong, key=lambda cell: (-cell[2], names[cell[0]], names[cell[1]]))
    return tuple(Confusion(names[t], names[p], count, sizes[t]) for t, p, count in ordered)
