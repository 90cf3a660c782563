"""Heads and trainings as readable lists: only what is read, an unused option as `off`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cars_bench.reports.inputs import Json
from cars_bench.reports.words import Pairs, number_text, short
from cars_bench.training.specs import HeadSpec, TrainingSpec, active_settings
from cars_bench.tuning.ledger import Trial

OFF_AT_0 = {
    "patience_epochs": "off",
    "weight_decay": "off",
    "clip_norm": "off",
    "label_smoothing": "off",
    "mixup": "off",
    "cutmix": "off",
    "averaging": "off",
    "dropout": "off",
    "noise": "off",
    "l2": "off",
    "views": "all",
}
"""What 0 means where it is not a number like another."""
NAMES = {
    "l2": "L2 penalty",
    "dropout": "Dropout of the features",
    "noise": "Noise on the features",
    "normalisation": "Normalisation of the features",
    "schedule kind": "Schedule",
}
Groups = tuple[tuple[str, Pairs], ...]


def trial_settings(trial: Trial) -> Groups:
    """What a trial was made of: what the search drew, its head and its training."""
    groups = [("Drawn by the search", tuple((k, short(v)) for k, v in trial.values.items()))]
    if trial.head:
        groups.append(("Head", head_settings(trial.head)))
    if trial.training:
        groups.append(("Training", training_settings(trial.training)))
    return tuple(group for group in groups if group[1])


def head_settings(head: HeadSpec) -> Pairs:
    """A head, layer by layer."""
    words = head.describe().split(" -> ")[:-1]
    layers = [(f"Layer {number}", said) for number, said in enumerate(words, 1)]
    others = {
        "normalisation": head.normalisation,
        "dropout": head.dropout,
        "noise": head.noise,
        "l2": head.l2,
    }
    return (*(layers or [("Layers", "none: linear")]), *flat(others))


def training_settings(training: TrainingSpec) -> Pairs:
    """How a head was trained."""
    return tuple(flat(active_settings(training, whole=False)))


def flat(document: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, value) of every leaf of nested specs, names in words."""
    for name, value in document.items():
        words = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from flat(value, f"{words} ")
        else:
            yield NAMES.get(words, words.capitalize()), _value(name, value)


def _value(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if value == 0 and name in OFF_AT_0:
        return OFF_AT_0[name]
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return number_text(float(f"{value:.3g}"))
    return str(value)
