"""Several curves in one figure, told apart by colour, dash and mark, with their numbers beneath."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    INK,
    PURPLE,
    VERMILLION,
    draw,
    percent_axis,
    plain_axes,
)
from cars_bench.reports.words import Table

COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, INK)
DASHES = ("-", "--", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BESIDE = 0.27
"""Inches of height that a line of the legend takes."""


@dataclass(frozen=True)
class Curve:
    """One curve.

    Attributes:
        label: Its name.
        points: (epoch, value), in order; a value that was not measured is `None`.
    """

    label: str
    points: tuple[tuple[int, float | None], ...]

    @property
    def last(self) -> float | None:
        """The last value that was measured."""
        return next((value for _, value in reversed(self.points) if value is not None), None)

    @property
    def highest(self) -> tuple[int, float] | None:
        """Epoch and value of the highest value, the first of equals."""
        known = [(epoch, value) for epoch, value in self.points if value is not None]
        return max(known, key=lambda point: point[1], default=None)


def curves_figure(
    name: str, title: str, curves: Sequence[Curve], *, share: bool = False, note: str = ""
) -> Markup:
    """Draw curves over epochs on one pair of axes.

    Args:
        name: Unique on the page.
        title: Of the figure, and what a screen reader says first.
        curves: At least one.
        share: The values are shares of right answers, written as percentages; the epoch with
            the highest one, whose weights are kept, has a larger mark.
        note: A sentence that a screen reader says after the numbers.
    """
    looks = list(itertools.islice(_looks(), len(curves)))

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "epoch")
        axes.set_title(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for curve, (colour, dash, marker) in zip(curves, looks, strict=True):
            epochs = [epoch for epoch, _ in curve.points]
            values = [float("nan") if value is None else value for _, value in curve.points]
            axes.plot(epochs, values, color=colour, linestyle=dash, marker=marker, markersize=4,
                      linewidth=1.3, label=curve.label.replace("$", r"\$"))  # fmt: skip
            if share and curve.highest:
                axes.plot(
                    *curve.highest, color=colour, marker=marker, markersize=9, fillstyle="none"
                )
        if share:
            percent_axis(axes)
        figure.legend(loc="outside lower left", ncols=1, fontsize=8.5)

    told = "; ".join(f"{curve.label} {_told(curve, share)}" for curve in curves)
    height = 2.8 + BESIDE * len(curves)
    return draw(name, title, f"{told}. {note}".strip(), paint, width=4.8, height=height)


def curves_table(columns: dict[str, Sequence[Curve]]) -> Table:
    """The numbers of several figures over the same epochs: a row a curve and epoch.

    Args:
        columns: Curves by what they measure; those of one name and place belong together.
    """
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for heading, curves in columns.items():
        for curve in curves:
            for epoch, value in curve.points:
                known = cells.setdefault((curve.label, epoch), {})
                known[heading] = "" if value is None else f"{value:.4g}"
    rows = tuple(
        (label, str(epoch), *(found.get(heading, "") for heading in columns))
        for (label, epoch), found in cells.items()
    )
    return Table(("Attempt", "Epoch", *columns), rows)


def _looks() -> itertools.chain[tuple[str, str, str]]:
    """Colour, dash and mark of each curve: no two alike among the first 105."""
    return itertools.chain.from_iterable(
        zip(COLOURS, itertools.repeat(dash), _turned(turn), strict=False)
        for turn, dash in enumerate(itertools.cycle(DASHES))
    )


def _turned(turn: int) -> list[str]:
    place = turn * len(COLOURS)
    return [MARKERS[(place + index) % len(MARKERS)] for index in range(len(COLOURS))]


def _told(curve: Curve, share: bool) -> str:
    ends = f"ends at {_said(curve.last, share)}"
    if not share or curve.highest is None:
        return ends
    epoch, value = curve.highest
    return f"is best at epoch {epoch} with {_said(value, share)} and {ends}"


def _said(value: float | None, share: bool) -> str:
    if value is None:
        return "no value"
    return f"{100 * value:.1f}%" if share else f"{value:.3g}"
