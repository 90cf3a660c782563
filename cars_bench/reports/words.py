"""Numbers and settings as people read them, and tables of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cars_bench.reports.inputs import Json
from cars_bench.training.specs import HeadSpec, TrainingSpec, active_settings
from cars_bench.tuning.ledger import Trial

Pairs = tuple[tuple[str, str], ...]
"""(name, value) of each property that a card shows."""
Cells = tuple[str, ...]
WINNER_MARK = "★"
"""Marks the winner in every table and figure."""
PROBE_NAMES = {"ridge": "ridge", "logistic": "logistic regression", "knn": "nearest neighbours"}
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
    "l1": "off",
    "l2": "off",
    "views": "all",
}
"""What 0 means where it is not a number like another."""
NAMES = {
    "l1": "L1 penalty",
    "l2": "L2 penalty",
    "dropout": "Dropout of the features",
    "noise": "Noise on the features",
    "normalisation": "Normalisation of the features",
    "schedule kind": "Schedule",
}
Groups = tuple[tuple[str, Pairs], ...]


@dataclass(frozen=True)
class Table:
    """The numbers beneath a figure, for whoever cannot or will not see it.

    Attributes:
        headings: One a column.
        rows: Rows of as many cells; the first cell of a row names it.
        words: The columns that hold words; the others hold numbers.
    """

    headings: Cells
    rows: tuple[Cells, ...]
    words: tuple[int, ...] = (0,)


Tables = dict[str, Table]


def percent(value: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * value:.{digits}f}%"


def interval(low: float, high: float, digits: int = 1) -> str:
    """The ends of an interval of shares as percentages."""
    return f"{percent(low, digits)} to {percent(high, digits)}"


def points(change: float, digits: int = 1) -> str:
    """A change of a share in percentage points, with its sign."""
    return f"{100 * change:+.{digits}f}"


def count(value: int | None) -> str:
    """A whole number with thousands separated; an empty string for nothing."""
    return "" if value is None else f"{value:,}"


def short(value: object) -> str:
    """A value in few characters, a number in three digits; an empty string for nothing."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def probe_name(trial_id: str) -> str:
    """What a probe is called in words, such as `Probe: ridge`."""
    short = trial_id.removeprefix("probe-")
    return f"Probe: {PROBE_NAMES.get(short, short)}"


def is_number(value: Any) -> bool:
    """Whether it is a number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_text(value: float) -> str:
    """A number as a person writes it: `1024`, `0.5`, `1e-6`."""
    return str(value) if isinstance(value, int) else f"{value:g}".replace("e-0", "e-")


def choice_text(value: Any) -> str:
    """A choice as a label; numbers that are equal have the same."""
    return number_text(value) if is_number(value) else str(value)


def marked(name: str, winner: bool) -> str:
    """A head's name, with the winner's mark where it is the winner."""
    return f"{WINNER_MARK} {name}" if winner else name


def options(command: str) -> list[str]:
    """A command cut where a line may break: before each `--option`, never inside one."""
    return re.split(r" (?=--)", command)


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
    words = head.describe().split(" -> ") if head.layers or head.stages else []
    layers = [(f"Layer {number}", said) for number, said in enumerate(words, 1)]
    others = {
        **({"map pooling": head.map_pooling} if head.stages else {}),
        "normalisation": head.normalisation,
        "dropout": head.dropout,
        "noise": head.noise,
        "l2": head.l2,
        **({"l1": head.l1} if head.l1 else {}),
        **({"penalised": head.penalised} if head.l1 or head.l2 else {}),
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
