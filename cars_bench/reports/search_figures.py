"""Figures of the search: each takes plain facts and gives inline SVG."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from cars_bench.reports.importance import Importance, ImportanceFacts
from cars_bench.reports.search import Hyperparameter, Row, SearchFacts
from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    INK,
    MUTED,
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
    rows = [row for row in search.rows if row.curve and row.kind == "trial"]

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
    """Validation top-1 against each hyperparameter that varied."""
    varied = search.hyperparameters
    scores = {trial: score for _, trial, score in search.history}
    columns = 3
    rows = -(-len(varied) // columns)

    def paint(figure: Figure) -> None:
        grid = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
        for axes in grid[len(varied) :]:
            axes.set_visible(False)
        for axes, item in zip(grid, varied, strict=False):
            _slice(axes, item, scores)
        figure.set_layout_engine("constrained", h_pad=0.09)

    edges = [item.name for item in varied if item.edge]
    said = (
        f"The best trial lies at the edge of: {', '.join(edges)}." if edges else "No edge optimum."
    )
    return draw(
        "slices", "Slices by hyperparameter", said, paint, width=8.6, height=0.4 + 1.9 * rows
    )


def _slice(axes: Axes, item: Hyperparameter, scores: dict[str, float]) -> None:
    shown = [item.options.index(v) if item.options else v for v in item.values.values()]
    axes.plot(shown, [scores[t] for t in item.values], "o", color=BLUE, markersize=3.5, alpha=0.6)
    if item.options:
        names = [option[:12] for option in item.options]
        axes.set_xticks(range(len(names)), names, fontsize=8, parse_math=False)
        axes.set_xlim(-0.5, len(names) - 0.5)
    else:
        _range(axes, item)
    axes.set_title(item.name + ("  ⚠ edge" if item.edge else ""), parse_math=False)
    axes.grid(axis="x", visible=False)
    percent_axis(axes)


def _range(axes: Axes, item: Hyperparameter) -> None:
    """The whole range that was searched, with its ends and its middle named."""
    low, high = item.low or 0.0, item.high or 0.0
    if item.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        ticks, margin = np.geomspace(low, high, 3), (high / low) ** 0.06
        axes.set_xlim(low / margin, high * margin)
    else:
        ticks, margin = np.linspace(low, high, 3), 0.06 * (high - low)
        axes.set_xlim(low - margin, high + margin)
    axes.set_xticks(ticks, [f"{float(f'{tick:.3g}'):g}" for tick in ticks])


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
