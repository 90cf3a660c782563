"""The hyperparameters that varied between trials, and the winner's place in each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cars_bench.reports.inputs import Json
from cars_bench.reports.words import choice_text, is_number
from cars_bench.tuning.hyperparameters import Hyperparameter as Dimension
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.space import Space

EDGE = 0.05
"""Share of a (log) range that counts as its end."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One hyperparameter that varied: its values by trial and where the winner lies.

    Attributes:
        kind: `number` or `choice`.
        log: The space draws it on a log scale.
        low, high: Its range in the space, or as seen; `None` for a choice.
        options: The choices in order, as text; empty for a number.
        values: By trial; one of `options` for a choice.
        edge: `low` or `high` where the winner lies at an end of the range that can be
            widened, `limit` where it lies at 0, below which there is nothing, else empty.
        integer: All its values are whole numbers.
    """

    name: str
    kind: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    values: dict[str, Any]
    edge: str = ""
    integer: bool = False


@dataclass(frozen=True)
class Varied:
    """The hyperparameters that varied, and what the trials scored with them.

    Attributes:
        scores: Validation top-1 of completed trials, in the order proposed.
        winner: The winning trial; empty where none is.
    """

    hyperparameters: tuple[Hyperparameter, ...]
    scores: dict[str, float]
    winner: str


def hyperparameters(
    trials: Iterable[Trial], space: Space | None, winner: Trial | None = None
) -> list[Hyperparameter]:
    """The hyperparameters whose value differs between completed trials.

    Args:
        trials: Completed or not.
        space: That was searched, where there was one.
        winner: Whose values may lie at an edge; by default the best score.
    """
    done = [trial for trial in trials if trial.status == "completed" and trial.score is not None]
    names = list(dict.fromkeys(name for trial in done for name in trial.values))
    best = winner or max(done, key=lambda trial: trial.score or 0.0, default=None)
    declared = {item.name: item for item in space.hyperparameters} if space else {}
    found = []
    for name in names:
        values = {t.trial_id: t.values[name] for t in done if t.values.get(name) is not None}
        if len(set(map(str, values.values()))) > 1:
            won = best.values.get(name) if best else None
            found.append(_hyperparameter(name, values, declared.get(name), won))
    return found


def _hyperparameter(name: str, values: Json, said: Dimension | None, won: Any) -> Hyperparameter:
    if (said and said.values) or not all(map(is_number, values.values())):
        return _choice(name, values, list(said.values) if said else [], won)
    bounds = [said.low, said.high] if said else []
    low = float(min([*values.values(), *bounds]))
    high = float(max([*values.values(), *bounds]))
    log = said is not None and said.log and low > 0
    return Hyperparameter(
        name=name,
        kind="number",
        log=log,
        low=low,
        high=high,
        values=values,
        edge="" if won is None else _edge(_place(float(won), low, high, log), low),
        integer=all(isinstance(value, int) for value in values.values()),
    )


def _choice(name: str, values: Json, declared: list[Any], won: Any) -> Hyperparameter:
    """A choice: evenly spaced, with an edge only where the choices are rising numbers."""
    shown = {trial: choice_text(value) for trial, value in values.items()}
    options = tuple(dict.fromkeys([*map(choice_text, declared), *sorted(shown.values())]))
    edge = ""
    if all(map(is_number, [*declared, *values.values()])) and declared == sorted(declared):
        place = None if won is None else options.index(choice_text(won)) / (len(options) - 1)
        edge = "" if place is None else _edge(place, declared[0])
    return Hyperparameter(name=name, kind="choice", options=options, values=shown, edge=edge)


def _edge(place: float, low: float) -> str:
    """Which end of its range a place in [0, 1] lies at, if any; 0 is the end of them all."""
    if place <= EDGE:
        return "limit" if low == 0 else "low"
    return "high" if place >= 1 - EDGE else ""


def _place(value: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def column(item: Hyperparameter, trials: list[str]) -> np.ndarray:
    """A hyperparameter as numbers: logarithms on a log scale, the place of a choice.

    Where it was not active it stands at the mean of the active ones, so that it does not
    repeat what switched it off.
    """
    values = np.array([_number(item, item.values.get(trial)) for trial in trials])
    inactive = np.isnan(values)
    values[inactive] = 0.0 if inactive.all() else values[~inactive].mean()
    return values


def _number(item: Hyperparameter, value: Any) -> float:
    if value is None:
        return math.nan
    if item.options:
        return item.options.index(value)
    return math.log(value) if item.log else float(value)
