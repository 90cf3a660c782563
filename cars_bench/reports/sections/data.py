"""The data as plain facts: what each split and each class holds, and what was set aside."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.data.box_sheet import boxed, shown
from cars_bench.data.card import Card
from cars_bench.data.dataset import SPLITS, Dataset
from cars_bench.data.detection import DetectionSummary
from cars_bench.progress import plural
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.pictures import data_uri
from cars_bench.reports.words import Pairs, percent

BOXED = 12
"""Pictures with their boxes drawn."""
BOXED_PIXELS = 144

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
        boxed: Images that show how a detector did, those that it found nothing in first.
        facts: (name, value) pairs for people.
    """

    name: str
    images: int
    splits: dict[str, int]
    classes: tuple[ClassCount, ...]
    quarantined: tuple[tuple[str, str], ...]
    facts: Pairs
    boxed: tuple[str, ...] = ()


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
        boxed=_boxed(inputs.dataset),
    )


def figure(inputs: Inputs, report: DataFacts | None) -> dict[str, str]:
    """Each picture of `boxed` as a data URI, whole, with its box drawn."""
    if report is None or inputs.dataset is None:
        return {}
    images = inputs.dataset.images
    drawn = {name: boxed(images[name], BOXED_PIXELS) for name in report.boxed}
    return {name: data_uri(picture) for name, picture in drawn.items() if picture}


def _boxed(dataset: Dataset) -> tuple[str, ...]:
    """Pictures that show how the detector did."""
    if dataset.card.detection is None:
        return ()
    return tuple(item.image_id for item in shown(dataset, BOXED))


def _found(detection: DetectionSummary | None, cut: bool) -> list[tuple[str, str]]:
    if detection is None:
        return []
    crop = detection.crop
    share = detection.median_share
    asked = ", ".join(crop.classes) or "any class"
    found = [
        ("Detector", crop.detector),
        ("Taken", f"the largest of {asked}, score {crop.threshold:g} or more"),
        ("Margin", f"{crop.margin:.0%}"),
        ("Boxes found", f"{detection.found:,}"),
        ("Taken whole" if cut else "Without a box", f"{detection.not_found:,}"),
    ]
    if share is not None:
        found.append(("Median share of the picture", percent(share)))
    if detection.mean_iou is not None:
        found.append(
            ("Mean IoU with the source's boxes",
             f"{detection.mean_iou:.2f} over {plural(detection.compared, 'image')}")
        )  # fmt: skip
    return found


def _described(digest: str, card: Card) -> list[tuple[str, str]]:
    width = card.sizes.width
    height = card.sizes.height
    return [
        ("Split", card.split.how),
        (CROP, card.crop),
        *_found(card.detection, cut=card.crop != "none"),
        ("Median size", f"{width.median:g} × {height.median:g} px"),
        ("Widths, 5% to 95%", f"{width.p05:g} to {width.p95:g} px"),
        ("Images with a box", f"{card.boxes:,}"),
        ("Digest", digest[:16]),
    ]
