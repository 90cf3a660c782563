"""Builds the page that lays two studies side by side."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench import __version__
from cars_bench.atomic import write_json, write_text
from cars_bench.errors import UsageError
from cars_bench.progress import Progress
from cars_bench.reports import turned
from cars_bench.reports.accuracies import Baseline
from cars_bench.reports.compare import Comparison, Measure, compare
from cars_bench.reports.index import COMPARISON, PLAIN_MODULES, write_index
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.render import check_size, render
from cars_bench.reports.sections.finetune import changed_most
from cars_bench.reports.svg import BLUE, VERMILLION, Figures, draw, share_rows
from cars_bench.reports.words import percent
from cars_bench.workspace import Workspace

COLOURS = (BLUE, VERMILLION)
MARKERS = ("o", "s")
SHIFT = 0.14


def build_comparison(
    workspace: Workspace, first: str, second: str, progress: Progress | None = None
) -> Path:
    """Write `reports/FIRST-against-SECOND/`: `compare.html` and `compare.json`; and the index.

    Raises:
        StudyMissing: There is no study of that name.
        UsageError: Both are the same study.
        CarsBenchError: The page would exceed 5 MB.
    """
    if first == second:
        raise UsageError(
            f"{first!r} is the same study twice.", "name two: cars-bench report --compare A B"
        )
    sides = [read_inputs(workspace, name) for name in (first, second)]
    facts = compare(*sides)
    (progress or Progress()).log(f"drawing {facts.title}")
    page = comparison_page(facts, turned.figure(facts.answers.turned, *sides))
    check_size(page)
    folder = workspace.reports / f"{first}-against-{second}"
    write_json(folder / f"{COMPARISON}.json", facts.to_json())
    write_text(folder / f"{COMPARISON}.html", page)
    write_index(workspace)
    return folder / f"{COMPARISON}.html"


def comparison_page(facts: Comparison, crops: turned.Crops) -> str:
    """The page; the same facts give the same text.

    Args:
        facts: The comparison.
        crops: Pictures of the images whose answer turned.
    """
    drawings: Figures = {"measures": side_by_side(facts)} if facts.measures else {}
    drawings |= changed_most(facts.answers.classes)
    return render(
        "compare.html.j2",
        PLAIN_MODULES,
        facts=facts,
        drawings=drawings,
        crops=crops,
        version=__version__,
    )


def side_by_side(facts: Comparison) -> Markup:
    """Every accuracy of both studies on one axis, with its 95% interval."""

    def paint(figure: Figure) -> None:
        axes = share_rows(figure, "top-1 accuracy", [_label(item) for item in facts.measures])
        for place, measure in enumerate(facts.measures):
            _measure(axes, place, measure)
        for name, colour, marker in zip(facts.names, COLOURS, MARKERS, strict=True):
            axes.plot([], [], marker, color=colour, label=name.replace("$", r"\$"))
        figure.legend(loc="outside upper left", ncols=1, fontsize=8.5)

    said = "; ".join(f"{_label(item)}: {_both(item)}" for item in facts.measures)
    height = 1.3 + 0.42 * len(facts.measures)
    return draw("measures", "Accuracies side by side", said + ".", paint, width=5.7, height=height)


def _measure(axes: Axes, place: int, measure: Measure) -> None:
    sides = zip((measure.first, measure.second), COLOURS, MARKERS, (SHIFT, -SHIFT), strict=True)
    for side, colour, marker, shift in sides:
        if side is not None:
            y = place + shift
            axes.plot([side.low, side.high], [y, y], color=colour, linewidth=2.2, alpha=0.55)
            axes.plot(side.value, y, marker, color=colour, markersize=6)


def _label(measure: Measure) -> str:
    return f"{measure.label}, {measure.split}"


def _both(measure: Measure) -> str:
    return " and ".join(_said(baseline) for baseline in (measure.first, measure.second))


def _said(baseline: Baseline | None) -> str:
    return percent(baseline.value) if baseline else "not measured"
