"""The data and the cache as plain facts: class counts and the features' card."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.cache.manifest import Manifest
from cars_bench.data.dataset import SPLITS
from cars_bench.reports.inputs import Json, Sources

KILO = 1000


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
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CacheFacts:
    """The card of the features: (name, value) pairs for people."""

    key: str
    records: int
    bytes: int
    facts: tuple[tuple[str, str], ...]


def data_facts(sources: Sources) -> DataFacts | None:
    """Count the dataset; `None` where it is not on this machine."""
    if sources.dataset is None:
        return None
    table, card = sources.dataset.table, sources.dataset.card
    counts = table.groupby(["class_name", "split"]).size()
    classes = [
        ClassCount(name, *(int(counts.get((name, split), 0)) for split in SPLITS))
        for name in sources.dataset.class_names
    ]
    return DataFacts(
        name=sources.dataset.name,
        images=len(table),
        splits={split: int((table["split"] == split).sum()) for split in SPLITS},
        classes=tuple(sorted(classes, key=lambda row: (-row.total, row.name))),
        quarantined=tuple(
            (str(item["image_id"]), str(item["reason"])) for item in card.get("quarantined", [])
        ),
        facts=tuple(_data_pairs(sources.dataset.digest, card)),
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


def cache_facts(sources: Sources) -> CacheFacts | None:
    """Describe the feature cache; `None` where it is not on this machine."""
    manifest = sources.manifest
    if manifest is None:
        return None
    recipe = manifest.recipe
    where = ("Boundary", recipe.boundary) if recipe.boundary else ("Pooling", recipe.pooling)
    pairs = [
        ("Backbone", recipe.backbone),
        where,
        ("Image size", f"{recipe.image_size} px, {recipe.resize}"),
        ("Crop", recipe.crop),
        ("Feature", f"{' × '.join(map(str, manifest.shape))}, {recipe.dtype}"),
        ("Views of a training image", f"{manifest.views('train')}"),
        ("Augmentation", policy(manifest)),
        ("Runtime", f"{recipe.runtime}, {recipe.precision}"),
        ("Records", f"{manifest.records:,} in {len(manifest.shards):,} shards"),
        ("Size", size(manifest.bytes)),
    ]
    if sources.cache_cost.images:
        pairs.append(("Speed", f"{sources.cache_cost.images_per_second:,.0f} images/s"))
    return CacheFacts(recipe.key, manifest.records, manifest.bytes, tuple(pairs))


def policy(manifest: Manifest) -> str:
    """The augmentation that stored views show; none where only the plain view is stored."""
    if manifest.views("train") <= 1:
        return "none (plain view only)"
    return manifest.extraction.augment


def size(count: float) -> str:
    """Bytes as a person says them: `812 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < KILO or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KILO
    raise AssertionError("unreachable")
