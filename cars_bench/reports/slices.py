"""Slices: what every trial scored, by each hyperparameter that varied; a small figure each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from cars_bench.data.dataset import evenly
from cars_bench.reports.importance import choice_means
from cars_bench.reports.svg import BLUE, INK, PAPER, VERMILLION, draw, percent_axis, plain_axes
from cars_bench.reports.varied import Hyperparameter, Varied
from cars_bench.reports.words import Table, choice_text, marked, number_text, percent, short

EDGE_WORDS = {"low": "  ⚠ edge", "high": "  ⚠ edge", "limit": "  at 0"}
FEW_TICKS = 5
"""Whole numbers up to which each has its tick."""
MOST_POINTS = 400
"""Trials that a slice shows; of more, every so many-th from the best to the worst."""
ROOM = 19
"""Letters that fit beneath a slice side by side."""


def slices(varied: Varied) -> Markup:
    """Validation top-1 against each hyperparameter that varied: a figure each, on one scale."""
    drawn = (
        draw(f"slice{number}", item.name, *_slice(item, varied), width=2.3, height=1.7)
        for number, item in enumerate(varied.hyperparameters)
    )
    figures = Markup('<div class="slices">{}</div>').format(Markup("").join(drawn))
    return figures + _left_out(len(varied.scores))


def _left_out(trials: int) -> Markup:
    """That not every trial is shown, where they are many."""
    if trials <= MOST_POINTS:
        return Markup("")
    said = (
        '<p class="caption">Of {} trials each slice shows about {}, from the best to the worst.</p>'
    )
    return Markup(said).format(f"{trials:,}", MOST_POINTS)


def _slice(item: Hyperparameter, varied: Varied) -> tuple[str, Callable[[Figure], None]]:
    """What a slice says, and what draws it."""
    scores = varied.scores
    places = {trial: _position(item, item.values[trial]) for trial in shown(item, varied)}

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
    of = f" of {len(item.values):,}" if len(places) < len(item.values) else ""
    said = f"{len(places)}{of} trials by {item.name}; " + (
        "it is not active in the winner." if won is None else f"the winner has {choice_text(won)}."
    )
    return said, paint


def shown(item: Hyperparameter, varied: Varied) -> list[str]:
    """The trials that a slice shows: spread over all ranks, the winner among them."""
    ranked = sorted(item.values, key=lambda trial: (-varied.scores[trial], trial))
    kept = {*evenly(ranked, MOST_POINTS), varied.winner}
    return [trial for trial in ranked if trial in kept]


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


def slices_table(varied: Varied) -> Table:
    """Every completed trial, best first, with the hyperparameters that varied."""
    found = varied.hyperparameters
    rows = [
        (marked(trial, trial == varied.winner), percent(score, 2),
         *(short(item.values.get(trial, "–")) for item in found))
        for trial, score in sorted(varied.scores.items(), key=lambda item: -item[1])
    ]  # fmt: skip
    return Table(("Trial", "Its own training", *(item.name for item in found)), tuple(rows))
