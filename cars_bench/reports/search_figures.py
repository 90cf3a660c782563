"""Figures of the search: each takes plain facts and gives inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from cars_bench.reports.importance import Importance, ImportanceFacts
from cars_bench.reports.search import Hyperparameter, Row, SearchFacts, number_text
from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PAPER,
    PURPLE,
    VERMILLION,
    draw,
    percent_axis,
    plain_axes,
)
from cars_bench.reports.verdict import percent

TOP_CURVES = 5
CURVE_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, INK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
EDGE_WORDS = {"low": "  ⚠ edge", "high": "  ⚠ edge", "limit": "  at 0"}
FEW_TICKS = 5
"""Whole numbers up to which each has its tick."""
ROOM = 19
"""Letters that fit beneath a slice side by side."""


def history(search: SearchFacts) -> Markup:
    """Every trial in the order it was proposed, the best so far, the probes as lines."""

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "trial, in the order proposed", "validation top-1")
        axes.plot([p[0] + 1 for p in search.history], [p[2] for p in search.history], "o",
                  color=MUTED, markersize=4, alpha=0.65, label="a trial")  # fmt: skip
        steps = search.best_so_far
        axes.step([p[0] + 1 for p in steps], [p[1] for p in steps], where="post", color=BLUE,
                  label="best so far")  # fmt: skip
        for dash, (name, score) in zip(DASHES[1:], search.probes, strict=False):
            axes.axhline(score, color=PURPLE, linestyle=dash, linewidth=1.2, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        percent_axis(axes)
        figure.legend(loc="outside upper left", ncols=5, fontsize=8.5, handlelength=2.2)

    best = search.best_so_far[-1][1]
    said = f"{len(search.history)} completed trials; the best reaches {percent(best)}."
    return draw("history", "Search history", said, paint, height=3.3)


def learning_curves(search: SearchFacts) -> Markup:
    """Validation top-1 by epoch: the best five in colour, the rest grey, a cross where stopped."""
    rows = search.curved

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "epoch", "validation top-1")
        for row in rows[TOP_CURVES:]:
            axes.plot(*_points(row), color=MUTED, alpha=0.35, linewidth=0.8)
        for row, colour, dash in zip(rows, CURVE_COLOURS, DASHES, strict=False):
            axes.plot(*_points(row), color=colour, linestyle=dash, label=row.trial_id)
        for row in rows:
            if row.stopped:
                axes.plot(*row.curve[-1], "x", color=MUTED, markersize=4, markeredgewidth=1)
        percent_axis(axes)
        figure.legend(loc="outside upper left", ncols=5, fontsize=8.5, handlelength=2.6)

    stopped = sum(row.stopped for row in rows)
    said = f"Curves of {len(rows)} trials; {stopped} stopped before their budget of epochs."
    return draw("curves", "Learning curves", said, paint, height=3.4)


def _points(row: Row) -> tuple[list[int], list[float]]:
    return [epoch for epoch, _ in row.curve], [value for _, value in row.curve]


def slices(search: SearchFacts) -> Markup:
    """Validation top-1 against each hyperparameter that varied: a figure each, on one scale."""
    drawn = (_slice(search, item, number) for number, item in enumerate(search.hyperparameters))
    return Markup('<div class="slices">{}</div>').format(Markup("").join(drawn))


def _slice(search: SearchFacts, item: Hyperparameter, number: int) -> Markup:
    scores = {trial: score for _, trial, score in search.history}
    places = {trial: _position(item, value) for trial, value in item.values.items()}

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure)
        axes.plot(list(places.values()), [scores[trial] for trial in places], "o", color=BLUE,
                  markersize=3.5, alpha=0.6)  # fmt: skip
        if search.winner in places:
            axes.plot(places[search.winner], scores[search.winner], "*", color=VERMILLION,
                      markersize=11, markeredgecolor=PAPER, markeredgewidth=0.8)  # fmt: skip
        _choices(axes, item) if item.options else _range(axes, item)
        axes.set_ylim(*_reach(scores.values()))
        axes.set_title(item.name + EDGE_WORDS.get(item.edge, ""), fontsize=9, parse_math=False)
        percent_axis(axes)

    won = item.values.get(search.winner)
    said = f"{len(places)} trials by {item.name}; " + (
        "it is not active in the winner." if won is None else f"the winner has {_words(won)}."
    )
    return draw(f"slice{number}", item.name, said, paint, width=2.3, height=1.7)


def _position(item: Hyperparameter, value: Any) -> float:
    return item.options.index(value) if item.options else float(value)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else number_text(value)


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
    low, high = item.low or 0.0, item.high or 0.0
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


def ticks(item: Hyperparameter) -> list[float]:
    """Ends and middle of a number's range: whole numbers for whole numbers, all of a few."""
    low, high = item.low or 0.0, item.high or 0.0
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
