"""The data and the cache as plain facts: class counts, the features' card, how to reproduce."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cars_bench.data.dataset import SPLITS
from cars_bench.reports.sources import Json, Run, Sources

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


@dataclass(frozen=True)
class Reproduce:
    """The commands that make this study again, and what they depended on."""

    commands: tuple[str, ...]
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
    recipe, extraction = manifest.recipe, manifest.extraction
    where = ("Boundary", recipe.boundary) if recipe.boundary else ("Pooling", recipe.pooling)
    pairs = [
        ("Backbone", recipe.backbone),
        where,
        ("Image size", f"{recipe.image_size} px, {recipe.resize}"),
        ("Feature", f"{' × '.join(map(str, manifest.shape))}, {recipe.dtype}"),
        ("Views of a training image", f"{manifest.views('train')}"),
        ("Augmentation", str(extraction.get("augment", "none"))),
        ("Runtime", f"{recipe.runtime}, {recipe.precision}"),
        ("Records", f"{manifest.records:,} in {len(manifest.shards):,} shards"),
        ("Size", size(manifest.bytes)),
    ]
    rate = extraction.get("images_per_second")
    if rate:
        pairs.append(("Speed", f"{rate:,.0f} images/s"))
    return CacheFacts(recipe.key, manifest.records, manifest.bytes, tuple(pairs))


def size(count: float) -> str:
    """Bytes as a person says them: `812 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < KILO or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KILO
    raise AssertionError("unreachable")


def reproduce(sources: Sources) -> Reproduce:
    """Write down the commands of every stage that has run, with their seeds and digests."""
    commands = [*_prepare(sources), *_extract(sources), *_tune(sources), *_finetune(sources.run)]
    return Reproduce(tuple(commands), tuple(_facts(sources)))


def _line(*words: object) -> str:
    return shlex.join(["cars-bench", *(str(word) for word in words)])


def _options(**values: Any) -> list[str]:
    given = {name: value for name, value in values.items() if value not in (None, "", [])}
    return [word for name, value in given.items()
            for word in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip


def _prepare(sources: Sources) -> list[str]:
    dataset = sources.dataset
    if dataset is None:
        return []
    source, split = dataset.card.get("source", {}), dataset.card.get("split", {})
    labels = source.get("labels")
    if labels and Path(labels).is_relative_to(dataset.folder):
        words = ["--demo"]
    elif source.get("layout") == "folder":
        words = _options(images=source.get("images"))
    else:
        words = _options(labels=labels, images=source.get("images"))
    crop = dataset.crop if dataset.crop != "none" else None
    words += _options(
        split=_split_option(str(split.get("how", ""))), seed=split.get("seed"), crop=crop
    )
    return [_line("prepare", *words, "--name", dataset.name)]


def _split_option(how: str) -> str | None:
    """The `--split` that a card's words come from: percentages, `column`, or nothing."""
    shares = re.match(r"\d+/\d+/\d+", how)
    if shares:
        return shares.group()
    return "column" if how.startswith("the source's own") else None


def _extract(sources: Sources) -> list[str]:
    if sources.manifest is None:
        return []
    recipe, extraction = sources.manifest.recipe, sources.manifest.extraction
    pooling = None if recipe.boundary else recipe.pooling
    views = sources.manifest.views("train")
    words = _options(
        backbone=recipe.backbone,
        weights=extraction.get("weights"),
        image_size=recipe.image_size,
        pooling=pooling,
        boundary=recipe.boundary,
        views=views if views > 1 else None,
        augment=extraction.get("augment") if views > 1 else None,
        dtype=recipe.dtype,
        runtime=recipe.runtime,
        batch_size=extraction.get("batch_size"),
    )
    return [_line("extract", *words)]


def _tune(sources: Sources) -> list[str]:
    study = sources.study
    if study is None:
        return []
    budget = study.get("budget", {})
    words = _options(
        study=sources.study_name,
        cache=study.get("cache_key"),
        oracle=study.get("oracle"),
        trials=budget.get("trials"),
        epochs=budget.get("epochs"),
        seed=study.get("seed"),
    )
    probed = any(trial.kind == "probe" for trial in sources.trials)
    return [_line("tune", *words)] + ([_line("probe")] if probed else [])


def _finetune(run: Run | None) -> list[str]:
    if run is None:
        return []
    record = run.record
    unfreeze, training = record.get("unfreeze", {}), record.get("training", {})
    words = _options(
        study=record.get("study"),
        trial=record.get("trial_id"),
        unfreeze=unfreeze.get("text"),
        epochs=training.get("epochs") or record.get("epochs"),
        lr=training.get("learning_rate"),
        seed=record.get("seed"),
    )
    live = record.get("recipe", {}).get("live")
    flags = ["--live"] * bool(live) + ["--no-warm-up"] * (record.get("warm_up") is False)
    return [_line("finetune", *words, *flags)]


def _facts(sources: Sources) -> list[tuple[str, str]]:
    facts = []
    if sources.dataset is not None:
        facts.append(("Dataset digest", sources.dataset.digest))
    if sources.manifest is not None:
        recipe = sources.manifest.recipe
        facts += [("Cache key", recipe.key), ("Backbone weights", recipe.weights_digest)]
    study = sources.study or {}
    for name, label in (("seed", "Search seed"), ("backend", "Search backend")):
        if study.get(name) is not None:
            facts.append((label, str(study[name])))
    if study.get("created"):
        facts.append(("Study made", str(study["created"])))
    versions = study.get("versions", {}) | (
        sources.run.record.get("versions", {}) if sources.run else {}
    )
    return facts + [(name, str(versions[name])) for name in sorted(versions)]
