"""The data as plain facts: what each split and each class holds, and what was set aside."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.data.card import Card
from cars_bench.data.dataset import SPLITS
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.words import Pairs

CROP = "Crop"


@dataclass(frozen=True)
class ClassCount:
    """Images of one class in each split, and the share of its test images named right."""

    name: str
    train: int
    val: int
    test: int

    @property
    def total(self) -> int:
        """Images in all splits."""
        return self.train + self.val + self.test


@dataclass(frozen=True)
class DataFacts:
    """What the dataset holds.

    Attributes:
        classes: Largest class first.
        quarantined: (image, reason) of every file set aside.
        facts: (name, value) pairs for people.
    """

    name: str
    images: int
    splits: dict[str, int]
    classes: tuple[ClassCount, ...]
    quarantined: tuple[tuple[str, str], ...]
    facts: Pairs


def facts(inputs: Inputs) -> DataFacts | None:
    """Count the dataset; `None` where it is not on this machine."""
    if inputs.dataset is None:
        return None
    card = inputs.dataset.card
    counts = inputs.dataset.counts()
    classes = [ClassCount(name, **row) for name, row in counts.items()]
    return DataFacts(
        name=inputs.dataset.name,
        images=len(inputs.dataset.images),
        splits={split: sum(row[split] for row in counts.values()) for split in SPLITS},
        classes=tuple(sorted(classes, key=lambda row: (-row.total, row.name))),
        quarantined=tuple((item.image_id, item.reason) for item in card.quarantined),
        facts=tuple(_described(inputs.dataset.digest, card)),
    )


def _described(digest: str, card: Card) -> list[tuple[str, str]]:
    width = card.sizes.width
    height = card.sizes.height
    return [
        ("Split", card.split.how),
        (CROP, card.crop),
        ("Median size", f"{width.median:g} × {height.median:g} px"),
        ("Widths, 5% to 95%", f"{width.p05:g} to {width.p95:g} px"),
        ("Images with a box", f"{card.boxes:,}"),
        ("Digest", digest[:16]),
    ]
