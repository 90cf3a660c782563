"""The exact commands that make a study again, and what they depended on."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cars_bench.reports.inputs import Inputs, Json, Run
from cars_bench.tuning.space import shipped_spaces

WINDOW = 4
"""Trials that a search keeps open at once unless more workers ask for more."""


@dataclass(frozen=True)
class Reproduce:
    """The commands that make this study again, and what they depended on."""

    commands: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def reproduce(inputs: Inputs) -> Reproduce:
    """Write down the commands of every stage that has run, with their seeds and digests."""
    commands = [*_prepare(inputs), *_extract(inputs), *_tune(inputs), *_finetune(inputs.run)]
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
        return []
    source = dataset.card.source
    split = dataset.card.split
    if Path(source.labels).is_relative_to(dataset.folder):
        words = ["--demo"]
    elif source.layout == "folder":
        words = _options(images=source.images)
    else:
        words = _options(labels=source.labels, images=source.images)
    crop = dataset.crop if dataset.crop != "none" else None
    words += _options(split=_split_option(split.how), seed=split.seed, crop=crop)
    return [_line("prepare", *words, "--name", dataset.name)]


def _split_option(how: str) -> str | None:
    """The `--split` that a card's words come from: percentages, `column`, or nothing."""
    shares = re.match(r"\d+/\d+/\d+", how)
    if shares:
        return shares.group()
    return "column" if how.startswith("the source's own") else None


def _extract(inputs: Inputs) -> list[str]:
    if inputs.manifest is None:
        return []
    recipe, extraction = inputs.manifest.recipe, inputs.manifest.extraction
    pooling = None if recipe.boundary else recipe.pooling
    views = inputs.manifest.views("train")
    several = views > 1
    words = _options(
        backbone=recipe.backbone,
        weights=extraction.weights,
        image_size=recipe.image_size,
        pooling=pooling,
        boundary=recipe.boundary,
        views=views if several else None,
        augment=extraction.augment if several else None,
        seed=recipe.augment_seed if several else None,
        dtype=recipe.dtype,
        runtime=recipe.runtime,
        batch_size=extraction.batch_size,
    )
    return [_line("extract", *words)]


def _tune(inputs: Inputs) -> list[str]:
    study = inputs.study
    if study is None:
        return []
    budget, asked = study.get("budget", {}), study.get("asked", {})
    window = study.get("window") or 0
    words = _options(
        study=inputs.study_name,
        cache=study.get("cache_key"),
        space=_space(study),
        oracle=study.get("oracle"),
        trials=budget.get("trials"),
        epochs=budget.get("epochs"),
        seed=study.get("seed"),
        workers=window if window > WINDOW else None,
        repeats=asked.get("repeats"),
        refit=study.get("winner", {}).get("refit"),
    )
    probed = any(trial.kind == "probe" for trial in inputs.trials)
    probe = _line("probe", *_options(study=inputs.study_name, cache=study.get("cache_key")))
    return [_line("tune", *words)] + ([probe] if probed else [])


def _space(study: Json) -> str | None:
    """What the space was asked for as; of older studies its name, if that is a shipped one."""
    name = (study.get("space") or {}).get("name")
    asked: str | None = study.get("asked", {}).get("space")
    return asked or (str(name) if name in shipped_spaces() else None)


def _finetune(run: Run | None) -> list[str]:
    if run is None:
        return []
    record = run.record
    head = _options(study=record.get("study"), trial=record.get("trial_id"))
    asked = record.get("asked") or _resolved(record)
    return [_line("finetune", *head, *asked), *map(_steered, record.get("steering", []))]


def _resolved(record: Json) -> list[str]:
    """Options of a run that did not record what it was asked for."""
    unfreeze, training = record.get("unfreeze", {}), record.get("training", {})
    words = _options(
        unfreeze=unfreeze.get("text"),
        epochs=training.get("epochs") or record.get("epochs"),
        lr=training.get("learning_rate"),
        seed=record.get("seed"),
    )
    live = record.get("recipe", {}).get("live")
    return words + ["--live"] * bool(live) + ["--no-warm-up"] * (record.get("warm_up") is False)


def _steered(change: Json) -> str:
    """A change made by hand, as a comment: it takes stopping the run at that epoch."""
    words = _options(
        lr=change["learning_rate"], schedule=change["schedule"], epochs=change["epochs"]
    )
    return f"# stopped after epoch {change['from_epoch'] - 1}: " + _line(
        "finetune", "--resume", *words
    )


def _facts(inputs: Inputs) -> list[tuple[str, str]]:
    facts = []
    if inputs.dataset is not None:
        facts.append(("Dataset digest", inputs.dataset.digest))
    if inputs.manifest is not None:
        recipe = inputs.manifest.recipe
        facts += [("Cache key", recipe.key), ("Backbone weights", recipe.weights_digest)]
    study = inputs.study or {}
    for name, label in (("seed", "Search seed"), ("backend", "Search backend")):
        if study.get(name) is not None:
            facts.append((label, str(study[name])))
    if study.get("created"):
        facts.append(("Study made", str(study["created"])))
    versions = study.get("versions", {}) | (
        inputs.run.record.get("versions", {}) if inputs.run else {}
    )
    return facts + [(name, str(versions[name])) for name in sorted(versions)]
