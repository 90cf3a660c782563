"""Which of the hyperparameters that varied mattered, and what was scored by each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.reports.importance import permutation_importance
from cars_bench.reports.slices import slices, slices_table
from cars_bench.reports.svg import BLUE, INK, Figures, draw, percent_axis
from cars_bench.reports.varied import Hyperparameter, Varied, column
from cars_bench.reports.words import Table, Tables, interval, percent

FEWEST_TRIALS = 20
FEWEST_EACH = 3
"""Trials that an estimate takes: at least so many, and so many for each that varied."""


@dataclass(frozen=True)
class Importance:
    """One hyperparameter's share of the explained variance, and its 95% bootstrap interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ImportanceFacts:
    """Importance over all trials, and over the better half; empty where trials are too few.

    Attributes:
        trials: How many completed trials there were.
        varied: How many hyperparameters varied.
        needed: How many trials an estimate needs.
    """

    trials: int
    varied: int
    needed: int
    overall: tuple[Importance, ...]
    top_half: tuple[Importance, ...]


def facts(varied: Varied) -> ImportanceFacts:
    """Estimate how much each of the hyperparameters that varied mattered."""
    scores = varied.scores
    ordered = sorted(scores, key=lambda trial: -scores[trial])
    half = ordered[: len(ordered) // 2]
    return ImportanceFacts(
        trials=len(scores),
        varied=len(varied.hyperparameters),
        needed=_needed(varied.hyperparameters),
        overall=tuple(_importances(varied.hyperparameters, ordered, scores)),
        top_half=tuple(_importances(varied.hyperparameters, half, scores)),
    )


def _needed(varied: Sequence[Hyperparameter]) -> int:
    return max(FEWEST_TRIALS, FEWEST_EACH * len(varied))


def _importances(
    varied: Sequence[Hyperparameter], trials: list[str], scores: dict[str, float]
) -> list[Importance]:
    if len(trials) < _needed(varied) or not varied:
        return []
    x = np.column_stack([column(item, trials) for item in varied])
    y = np.array([scores[trial] for trial in trials])
    draws = permutation_importance(x, y)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    found = [
        Importance(item.name, float(mean), float(low[n]), float(high[n]))
        for n, (item, mean) in enumerate(zip(varied, draws.mean(axis=0), strict=True))
    ]
    return sorted(found, key=lambda item: (-item.value, item.name))


def figure(varied: Varied, importance: ImportanceFacts) -> Figures:
    """How much each mattered, where that was estimated; and a slice of each that varied."""
    drawn = {}
    if importance.overall:
        drawn["importance"] = importances(importance)
    if varied.hyperparameters:
        drawn["slices"] = slices(varied)
    return drawn


def importances(facts: ImportanceFacts) -> Markup:
    """Bars with bootstrap intervals: over all trials, and over the better half if large enough."""
    panels = [("over all trials", facts.overall)]
    if facts.top_half:
        panels.append(("over the better half", facts.top_half))

    def paint(figure: Figure) -> None:
        for axes, (title, items) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            _bars(axes, title, items[::-1])

    first = facts.overall[0]
    said = f"{first.name} explains most: {percent(first.value, 0)} over all trials."
    height = 0.9 + 0.26 * len(facts.overall)
    return draw("importance", "Importance of hyperparameters", said, paint, 8.6, height)


def _bars(axes: Axes, title: str, items: tuple[Importance, ...]) -> None:
    places = range(len(items))
    axes.barh(places, [item.value for item in items], color=BLUE, alpha=0.35, height=0.6)
    for place, item in enumerate(items):
        axes.plot([item.low, item.high], [place, place], color=BLUE, linewidth=1.6)
    axes.set_yticks(places, [item.name for item in items], parse_math=False)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis="y", visible=False)
    axes.set_title(title)
    axes.set_xlim(0, 1)
    percent_axis(axes, "x")


def table(varied: Varied, importance: ImportanceFacts) -> Tables:
    """The numbers of both figures."""
    tables = {"importance": importance_table(importance)} if importance.overall else {}
    if varied.hyperparameters:
        tables["slices"] = slices_table(varied)
    return tables


def importance_table(facts: ImportanceFacts) -> Table:
    """Shares with intervals, over all trials and over the better half."""
    half = {item.name: item for item in facts.top_half}
    rows = [(i.name, *_share(i), *_share(half.get(i.name))) for i in facts.overall]
    over = ("Over all", "95% interval", "Over the better half", "95% interval")
    return Table(("Hyperparameter", *over), tuple(rows))


def _share(item: Importance | None) -> tuple[str, str]:
    if item is None:
        return "not estimated", ""
    return percent(item.value, 0), interval(item.low, item.high, 0)
