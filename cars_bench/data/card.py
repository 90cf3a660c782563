"""The dataset's card: what a person should know about it at a glance, as `card.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cars_bench.data.detection import DetectionSummary
from cars_bench.documents import read_record, write_record
from cars_bench.errors import DatasetMissing
from cars_bench.progress import plural
from cars_bench.workspace import Workspace

CARD_FILE = "card.json"
PREPARE = "cars-bench prepare SOURCE, or cars-bench prepare --demo"
SHOWN = 5
"""Quarantined images listed on a terminal."""


@dataclass(frozen=True)
class CardSource:
    """Where labels and images came from.

    Attributes:
        labels: Path of the label file, or of the folder of class folders.
        images: Path of the image root.
        layout: Which reader read it.
    """

    labels: str
    images: str
    layout: str


@dataclass(frozen=True)
class SplitSummary:
    """How the images were split.

    Attributes:
        how: In words, the percentages first where it was dealt by percentages.
        seed: Seed of the deal.
        counts: Images of `train`, `val` and `test`.
    """

    how: str
    seed: int
    counts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """How a length in pixels is spread over the images."""

    min: float
    p05: float
    median: float
    p95: float
    max: float


@dataclass(frozen=True)
class Sizes:
    """Width and height of the upright originals."""

    width: Quantiles
    height: Quantiles


@dataclass(frozen=True)
class MissingImages:
    """Labelled images that have no file."""

    count: int
    image_ids: tuple[str, ...]


@dataclass(frozen=True)
class Quarantined:
    """An image that cannot be used, and why."""

    image_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """What `card.json` says.

    Attributes:
        created: UTC time, `2026-01-31T12:00:00Z`.
        source: Where labels and images came from.
        crop: What each image is cut to before it is resized: `none`, `boxes` (the source's),
            or `detector`.
        images: Number of images.
        classes: Number of classes.
        split: How the images were split.
        class_counts: Images of each class in each split, in the order of the labels.
        sizes: Of the upright originals.
        boxes: Number of images with a box.
        missing: Labelled images without a file.
        quarantined: Images that cannot be used.
        warnings: Plain sentences.
        versions: Of the packages that read the images.
        digest: SHA-256 over everything about the images but where they lie.
        groups: Properties of classes by which accuracy is told too (`prepare
            --group-column`), such as `make`: each class to its value.
        detection: How the boxes were found, where a detector found them.
        sizes_digest: SHA-256 over the images' widths and heights; empty in older cards.
    """

    created: str
    source: CardSource
    crop: str
    images: int
    classes: int
    split: SplitSummary
    class_counts: dict[str, dict[str, int]]
    sizes: Sizes
    boxes: int
    missing: MissingImages
    quarantined: tuple[Quarantined, ...]
    warnings: tuple[str, ...]
    versions: dict[str, str]
    digest: str
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    detection: DetectionSummary | None = None
    sizes_digest: str = ""


def read_card(folder: Path) -> Card:
    """Read the card of the dataset in `folder`.

    Raises:
        DatasetMissing: There is none, so there is no dataset.
        RecordDamaged: It is not a card.
    """
    missing = DatasetMissing(f"There is no dataset in {folder}.", PREPARE)
    return read_record(folder / CARD_FILE, Card, missing, "run prepare again")


def prepared(workspace: Workspace) -> list[Path]:
    """Folders of the datasets that were prepared to the end, by name."""
    return [path.parent for path in sorted(workspace.datasets.glob(f"*/{CARD_FILE}"))]


def write_card(folder: Path, card: Card) -> None:
    """Write the card, atomically; with it the folder is a dataset."""
    write_record(folder / CARD_FILE, card)


def card_lines(name: str, card: Card) -> list[str]:
    """The card as a few sentences for a terminal."""
    counts = card.split.counts
    totals = sorted(sum(row.values()) for row in card.class_counts.values())
    lines = [
        f"{name}: {card.images:,} images of {card.classes:,} classes ({_a_class(totals)})",
        f"split: {counts['train']:,} train, {counts['val']:,} val, {counts['test']:,} test "
        f"({card.split.how})",
        _size_line(card.sizes),
        *_box_lines(card),
    ]
    lines += [
        f"groups: {column}, {plural(len(set(values.values())), 'value')} "
        f"for {plural(len(values), 'class')}"
        for column, values in card.groups.items()
    ]
    if card.missing.count:
        lines.append(f"missing: {card.missing.count:,} labelled images have no file")
    lines += _quarantine_lines(card.quarantined)
    return lines + [f"warning: {text}" for text in card.warnings]


def _box_lines(card: Card) -> list[str]:
    if card.detection:
        whole = card.crop == "none"
        return card.detection.lines(not whole) + (["crop: none"] if whole else [])
    return [f"boxes: {card.boxes:,}; crop: {card.crop}"] if card.boxes else []


def _a_class(totals: list[int]) -> str:
    """`20 a class`, or how far the classes differ."""
    if totals[0] == totals[-1]:
        return f"{totals[0]:,} a class"
    return f"{totals[0]:,} to {totals[-1]:,} a class, median {totals[len(totals) // 2]:,}"


def _size_line(sizes: Sizes) -> str:
    width = sizes.width
    height = sizes.height
    if width.min == width.max and height.min == height.max:
        return f"sizes: all {width.min:.0f} x {height.min:.0f} pixels"
    return (
        f"sizes: median {width.median:.0f} x {height.median:.0f} pixels; 90% have widths "
        f"{width.p05:.0f} to {width.p95:.0f} and heights {height.p05:.0f} to {height.p95:.0f}"
    )


def _quarantine_lines(quarantined: tuple[Quarantined, ...]) -> list[str]:
    if not quarantined:
        return []
    count = plural(len(quarantined), "image")
    lines = [f"quarantined: {count} that cannot be used (listed in card.json)"]
    lines += [f"  {item.image_id}: {item.reason}" for item in quarantined[:SHOWN]]
    rest = len(quarantined) - SHOWN
    return lines + ([f"  and {rest:,} more"] if rest > 0 else [])
