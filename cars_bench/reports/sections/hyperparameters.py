"""The hyperparameters that varied: the winner's place in their ranges, and which mattered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from cars_bench.reports.importance import choice_means, permutation_importance
from cars_bench.reports.inputs import Json
from cars_bench.reports.svg import (
    BLUE,
    INK,
    PAPER,
    VERMILLION,
    Figures,
    draw,
    percent_axis,
    plain_axes,
)
from cars_bench.reports.words import (
    Table,
    Tables,
    choice_text,
    interval,
    is_number,
    marked,
    number_text,
    percent,
    short,
)
from cars_bench.tuning.hyperparameters import Hyperparameter as Dimension
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.space import Space

EDGE = 0.05
"""Share of a (log) range that counts as its end."""
EDGE_WORDS = {"low": "  ⚠ edge", "high": "  ⚠ edge", "limit": "  at 0"}
FEWEST_TRIALS = 20
FEWEST_EACH = 3
"""Trials that an estimate takes: at least so many, and so many for each that varied."""
FEW_TICKS = 5
"""Whole numbers up to which each has its tick."""
ROOM = 19
"""Letters that fit beneath a slice side by side."""


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


def figure(varied: Varied, importance: ImportanceFacts) -> Figures:
    """How much each mattered, where that was estimated; and a slice of each that varied."""
    drawn = {}
    if importance.overall:
        drawn["importance"] = importances(importance)
    if varied.hyperparameters:
        drawn["slices"] = slices(varied)
    return drawn


def slices(varied: Varied) -> Markup:
    """Validation top-1 against each hyperparameter that varied: a figure each, on one scale."""
    drawn = (
        draw(f"slice{number}", item.name, *_slice(item, varied), width=2.3, height=1.7)
        for number, item in enumerate(varied.hyperparameters)
    )
    return Markup('<div class="slices">{}</div>').format(Markup("").join(drawn))


def _slice(item: Hyperparameter, varied: Varied) -> tuple[str, Callable[[Figure], None]]:
    """What a slice says, and what draws it."""
    scores = varied.scores
    places = {trial: _position(item, value) for trial, value in item.values.items()}

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure)
        axes.plot(list(places.values()), [scores[trial] for trial in places], "o", color=BLUE,
                  markersize=3.5, alpha=0.6)  # fmt: skip
        if varied.winner in places:
            axes.plot(places[varied.winner], scores[varied.winner], "*", color=VERMILLION,
                      markersize=11, markeredgecolor=PAPER, markeredgewidth=0.8)  # fmt: skip
        for option, mean in choice_means(item.values, scores).items() if item.options else ():
            at = item.options.index(option)
            axes.plot([at - 0.3, at + 0.3], [mean, mean], color=INK, linewidth=1.4)
        _choices(axes, item) if item.options else _range(axes, item)
        axes.set_ylim(*_reach(scores.values()))
        axes.set_title(item.name + EDGE_WORDS.get(item.edge, ""), fontsize=9, parse_math=False)
        percent_axis(axes)

    won = item.values.get(varied.winner)
    said = f"{len(places)} trials by {item.name}; " + (
        "it is not active in the winner." if won is None else f"the winner has {choice_text(won)}."
    )
    return said, paint


def _position(item: Hyperparameter, value: Any) -> float:
    return item.options.index(value) if item.options else float(value)


def _reach(scores: Iterable[float]) -> tuple[float, float]:
    """The range of all scores, with a margin for the marks."""
    ends = sorted(scores)
    margin = 0.08 * (ends[-1] - ends[0]) or 0.01
    return ends[0] - margin, ends[-1] + margin


def _choices(axes: Axes, item: Hyperparameter) -> None:
    """The choices evenly spaced, each named; names that would meet are turned."""
    names = [option[:12] for option in item.options]
    axes.set_xticks(range(len(names)), names, fontsize=8, parse_math=False)
    if len("".join(names)) > ROOM:
        axes.tick_params(axis="x", labelrotation=35)
    axes.set_xlim(-0.5, len(names) - 0.5)


def _range(axes: Axes, item: Hyperparameter) -> None:
    """The whole range that was searched, with its ends and its middle named."""
    low, high = _ends(item)
    if item.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        margin = (high / low) ** 0.06
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = 0.06 * (high - low)
        axes.set_xlim(low - margin, high + margin)
    marks = ticks(item)
    axes.set_xticks(marks, [number_text(tick) for tick in marks], fontsize=8)


def _ends(item: Hyperparameter) -> tuple[float, float]:
    return item.low or 0.0, item.high or 0.0


def ticks(item: Hyperparameter) -> list[float]:
    """Ends and middle of a number's range: whole numbers for whole numbers, all of a few."""
    low, high = _ends(item)
    if item.integer and high - low < FEW_TICKS:
        return list(range(int(low), int(high) + 1))
    middle = math.sqrt(low * high) if item.log else (low + high) / 2
    if item.integer:
        return [int(low), round(middle), int(high)]
    return [low, float(f"{middle:.2g}"), high]


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


def slices_table(varied: Varied) -> Table:
    """Every completed trial, best first, with the hyperparameters that varied."""
    found = varied.hyperparameters
    rows = [
        (marked(trial, trial == varied.winner), percent(score, 2),
         *(short(item.values.get(trial, "–")) for item in found))
        for trial, score in sorted(varied.scores.items(), key=lambda item: -item[1])
    ]  # fmt: skip
    return Table(("Trial", "Its own training", *(item.name for item in found)), tuple(rows))


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
