"""The data as plain facts: what each split and each class holds, and what was set aside."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.data.dataset import SPLITS
from cars_bench.reports.inputs import Inputs, Json
from cars_bench.reports.words import Pairs


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
    table, card = inputs.dataset.table, inputs.dataset.card
    counts = table.groupby(["class_name", "split"]).size()
    classes = [
        ClassCount(name, *(int(counts.get((name, split), 0)) for split in SPLITS))
        for name in inputs.dataset.class_names
    ]
    return DataFacts(
        name=inputs.dataset.name,
        images=len(table),
        splits={split: int((table["split"] == split).sum()) for split in SPLITS},
        classes=tuple(sorted(classes, key=lambda row: (-row.total, row.name))),
        quarantined=tuple(
            (str(item["image_id"]), str(item["reason"])) for item in card.get("quarantined", [])
        ),
        facts=tuple(_data_pairs(inputs.dataset.digest, card)),
    )


def _data_pairs(digest: str, card: Json) -> list[tuple[str, str]]:
    split, sizes = card.get("split", {}), card.get("sizes", {})
    pairs = [("Split", str(split.get("how", "not recorded"))), ("Crop", str(card.get("crop")))]
    if sizes:
        width, height = sizes["width"], sizes["height"]
        pairs.append(("Median size", f"{width['median']:g} × {height['median']:g} px"))
        pairs.append(("Widths, 5% to 95%", f"{width['p05']:g} to {width['p95']:g} px"))
    pairs.append(("Images with a box", f"{card.get('boxes', 0):,}"))
    return [*pairs, ("Digest", digest[:16])]
