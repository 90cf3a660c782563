"""The exact commands that make a study again, and what they depended on."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cars_bench.backbones.catalogue import is_picture
from cars_bench.data.dataset import DETECTOR, Dataset
from cars_bench.finetune.plan import Steering
from cars_bench.finetune.runs import FROZEN, MEASURED, Run
from cars_bench.reports.inputs import Inputs
from cars_bench.tuning.study import Study

WINDOW = 4
"""Trials that a search keeps open at once unless more workers ask for more."""


@dataclass(frozen=True)
class Reproduce:
    """The commands that make this study again, and what they depended on."""

    commands: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def reproduce(inputs: Inputs) -> Reproduce:
    """Write down the commands of every stage that has run, with their seeds and digests."""
    commands = [
        *_prepare(inputs),
        *_extract(inputs),
        *_tune(inputs),
        *_evaluate(inputs),
        *_finetune(inputs.run),
    ]
    return Reproduce(tuple(commands), tuple(_facts(inputs)))


def _line(*words: object) -> str:
    return shlex.join(["cars-bench", *(str(word) for word in words)])


def _options(**values: Any) -> list[str]:
    given = {name: value for name, value in values.items() if value not in (None, "", [])}
    return [word for name, value in given.items()
            for word in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip


def _prepare(inputs: Inputs) -> list[str]:
    dataset = inputs.dataset
    if dataset is None:
        return _prepared_otherwise(inputs.study)
    source = dataset.card.source
    split = dataset.card.split
    if Path(source.labels).is_relative_to(dataset.folder):
        words = ["--demo"]
    elif source.layout == "folder":
        words = _options(images=source.images)
    else:
        words = _options(labels=source.labels, images=source.images)
    words += _options(split=_split_option(split.how), seed=split.seed, **_crop(dataset))
    return [_line("prepare", *words, "--name", dataset.name)]


def _prepared_otherwise(study: Study | None) -> list[str]:
    """In place of the command, where the dataset that would tell it is not here any more."""
    if study is None:
        return []
    wanted = study.record.dataset
    return [f"# first prepare {shlex.quote(wanted.name)} as it was: digest {wanted.digest[:16]}"]


def _crop(dataset: Dataset) -> dict[str, Any]:
    """The options of `prepare` that cut the images, or find their boxes."""
    found = dataset.card.detection
    if found is None:
        return {"crop": dataset.crop if dataset.is_cropped else None}
    crop = found.crop
    name = "crop" if dataset.is_cropped else "boxes"
    return {
        name: f"{DETECTOR}:{crop.detector}",
        "detect_classes": ",".join(crop.classes),
        "detect_threshold": crop.threshold,
        "crop_margin": crop.margin or None,
    } | {f"detector_{name}": value for name, value in vars(crop.files).items()}


def _split_option(how: str) -> str | None:
    """The `--split` that a card's words come from: percentages, `column`, or nothing."""
    shares = re.match(r"\d+/\d+/\d+", how)
    if shares:
        return shares.group()
    return "column" if how.startswith("the source's own") else None


def _extract(inputs: Inputs) -> list[str]:
    if inputs.manifest is None:
        return []
    recipe = inputs.manifest.recipe
    made = inputs.manifest.extraction
    views = inputs.manifest.views("train")
    several = views > 1
    augmented = several or is_picture(recipe.backbone)
    words = _options(
        backbone=recipe.backbone,
        weights=made.weights,
        image_size=recipe.image_size,
        pooling=None if recipe.boundary else recipe.pooling,
        boundary=recipe.boundary,
        views=views if several else None,
        augment=made.augment if augmented else None,
        seed=recipe.augment_seed if augmented else None,
        dtype=recipe.dtype,
        runtime=recipe.runtime,
        batch_size=made.batch_size,
    )
    return [_line("extract", *words)]


def _tune(inputs: Inputs) -> list[str]:
    if inputs.study is None:
        return []
    record = inputs.study.record
    window = record.window or 0
    words = _options(
        study=record.name,
        cache=record.cache_key,
        space=record.asked.space if record.asked else None,
        oracle=record.oracle,
        trials=record.budget.trials or None,
        epochs=record.budget.epochs,
        seed=record.seed,
        workers=window if window > WINDOW else None,
        repeats=record.asked.repeats if record.asked else None,
        refit=record.winner.refit if record.winner else None,
    )
    probed = any(row.kind == "probe" for row in inputs.board)
    probe = _line("probe", *_options(study=record.name, cache=record.cache_key))
    return [_line("tune", *words)] + ([probe] if probed else [])


def _evaluate(inputs: Inputs) -> list[str]:
    """Of the frozen winner, where nothing was fine-tuned: a run measures itself."""
    if inputs.run is not None or inputs.study is None:
        return []
    splits = [split for split in MEASURED if inputs.answers(FROZEN, split)]
    study = inputs.study.name
    return [_line("evaluate", *_options(study=study, split=split)) for split in splits]


def _finetune(run: Run | None) -> list[str]:
    if run is None:
        return []
    head = _options(study=run.record.study, trial=run.record.trial_id)
    return [_line("finetune", *head, *run.record.asked), *map(_steered, run.record.steering)]


def _steered(change: Steering) -> str:
    """A change made by hand, as a comment: it takes stopping the run at that epoch."""
    words = _options(lr=change.learning_rate, schedule=change.schedule, epochs=change.epochs)
    return f"# stopped after epoch {change.from_epoch - 1}: " + _line(
        "finetune", "--resume", *words
    )


def _facts(inputs: Inputs) -> list[tuple[str, str]]:
    facts = []
    if inputs.dataset is not None:
        facts.append(("Dataset digest", inputs.dataset.digest))
    if inputs.manifest is not None:
        recipe = inputs.manifest.recipe
        facts += [("Cache key", recipe.key), ("Backbone weights", recipe.weights_digest)]
    versions: dict[str, str] = {}
    if inputs.study is not None:
        record = inputs.study.record
        asked = {"Search seed": record.seed, "Search backend": record.backend}
        facts += [(name, str(value)) for name, value in asked.items() if value is not None]
        facts.append(("Study made", record.created))
        versions |= record.versions
    if inputs.run is not None:
        versions |= inputs.run.record.versions
    return facts + [(name, versions[name]) for name in sorted(versions)]
