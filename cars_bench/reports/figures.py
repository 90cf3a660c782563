"""The report's figures: each takes plain facts and gives inline SVG."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.reports.finish import RunFacts
from cars_bench.reports.importance import Importance, ImportanceFacts
from cars_bench.reports.mistakes import MistakeFacts
from cars_bench.reports.search import Row, SearchFacts
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
from cars_bench.reports.verdict import Rung, Verdict, percent

KIND_COLOURS = {"chance": MUTED, "probe": PURPLE, "frozen": BLUE, "finetuned": GREEN}
MARKERS = {"chance": "|", "probe": "D", "frozen": "o", "finetuned": "s"}
TOP_CURVES = 5
CURVE_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, INK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def ladder(verdict: Verdict) -> Markup:
    """Every accuracy on one axis with its 95% interval: open marks validation, filled ones test."""
    rungs = verdict.rungs

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "top-1 accuracy")
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        for place, rung in enumerate(rungs):
            _rung(axes, place, rung)
        axes.set_yticks(range(len(rungs)), [_label(rung) for rung in rungs])
        axes.set_xlim(0, min(1.0, max(r.high for r in rungs) + 0.12))
        axes.set_ylim(-0.6, len(rungs) - 0.4)
        axes.tick_params(axis="y", labelcolor=INK)
        percent_axis(axes, "x")

    said = "; ".join(f"{_label(r)} {percent(r.value)}" for r in rungs)
    height = 0.75 + 0.33 * len(rungs)
    return draw(
        "ladder", "From chance to the finished model", said + ".", paint, width=5.7, height=height
    )


def _rung(axes: Axes, place: int, rung: Rung) -> None:
    colour = KIND_COLOURS[rung.kind]
    axes.plot([rung.low, rung.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    face = colour if rung.split == "test" else PAPER
    axes.plot(rung.value, place, MARKERS[rung.kind], color=colour, markerfacecolor=face,
              markersize=7, markeredgewidth=1.8)  # fmt: skip
    axes.annotate(percent(rung.value), (max(rung.high, rung.value), place), xytext=(8, 0),
                  textcoords="offset points", va="center", color=INK)  # fmt: skip


def _label(rung: Rung) -> str:
    return rung.label if rung.kind == "chance" else f"{rung.label}, {rung.split}"


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


def finetune_curve(run: RunFacts, number: int) -> Markup:
    """Validation top-1, losses and the learning rate by epoch, with the best epoch marked."""
    epochs = [item.epoch for item in run.history]

    def paint(figure: Figure) -> None:
        left, middle, right = figure.subplots(1, 3)
        _series(left, "validation top-1", epochs, [item.val_top1 for item in run.history], BLUE)
        percent_axis(left)
        frozen = [r for r in run.accuracies if r.kind == "frozen" and r.split == "val"]
        if frozen:
            left.axhline(frozen[0].value, color=MUTED, linestyle="--", linewidth=1)
        _series(middle, "loss", epochs, [i.train_loss for i in run.history], VERMILLION, "train")
        _series(middle, "loss", epochs, [i.val_loss for i in run.history], BLUE, "val", "--")
        middle.legend(fontsize=8.5)
        _series(right, "learning rate", epochs, [i.learning_rate for i in run.history], PURPLE)
        right.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        if run.best_epoch is not None:
            for axes in (left, middle, right):
                axes.axvline(run.best_epoch, color=GREEN, linewidth=1, linestyle=":")

    said = f"{len(epochs)} epochs of {run.name}; the best epoch is {run.best_epoch}."
    return draw(f"run{number}", f"Fine-tuning {run.name}", said, paint, width=8.6, height=2.7)


def _series(axes: Axes, title: str, epochs: list[int], values: list[float | None],
            colour: str, label: str = "", dash: str = "-") -> None:  # fmt: skip
    shown = [float("nan") if value is None else value for value in values]
    axes.plot(epochs, shown, color=colour, linestyle=dash, label=label, marker=".", markersize=4)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.grid(axis="x", visible=False)


def reliability(mistakes: MistakeFacts) -> Markup:
    """Confidence against accuracy; the diagonal is a model that knows how sure to be."""
    bins = mistakes.bins

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "the model's own probability", "share right")
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
        width = [b.high - b.low for b in bins]
        axes.bar([b.low for b in bins], [b.accuracy for b in bins], width, align="edge",
                 color=BLUE, alpha=0.35, edgecolor=BLUE)  # fmt: skip
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color=BLUE)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        percent_axis(axes, "x")
        percent_axis(axes)

    said = f"Expected calibration error {percent(mistakes.calibration_error)}."
    return draw("reliability", "Reliability diagram", said, paint, width=4.6, height=3.4)


def gains(mistakes: MistakeFacts, count: int = 10) -> Markup:
    """Classes that gained and lost most by fine-tuning, as dumbbells from before to after."""
    up = [gain for gain in mistakes.gains[:count] if gain.change > 0]
    down = [gain for gain in mistakes.gains[-count:] if gain.change < 0 and gain not in up]
    shown = [*up, *down][::-1]

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "test recall: open before, filled after")
        axes.grid(axis="x", visible=True)
        for place, gain in enumerate(shown):
            colour = GREEN if gain.change > 0 else VERMILLION
            axes.plot([gain.before, gain.after], [place, place], color=colour, alpha=0.5)
            axes.plot(gain.before, place, "o", color=colour, markerfacecolor=PAPER)
            axes.plot(gain.after, place, "o" if gain.change > 0 else "v", color=colour)
        axes.set_yticks(
            range(len(shown)), [f"{g.name[:40]} ({g.n})" for g in shown], parse_math=False
        )
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(-0.03, 1.03)
        percent_axis(axes, "x")

    said = f"{len(up)} classes that gained most and {len(down)} that lost most."
    height = 0.8 + 0.27 * max(len(shown), 1)
    return draw("gains", "Change by class", said, paint, height=height)


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
            places = [item.options.index(v) if item.options else v for v in item.values.values()]
            axes.plot(places, [scores[t] for t in item.values], "o", color=BLUE, markersize=3.5,
                      alpha=0.6)  # fmt: skip
            if item.log:
                axes.set_xscale("log")
            elif all(isinstance(place, int) for place in places):
                axes.xaxis.get_major_locator().set_params(integer=True)
            if item.options:
                names = [option[:12] for option in item.options]
                axes.set_xticks(range(len(names)), names, fontsize=8, parse_math=False)
                axes.set_xlim(-0.5, len(names) - 0.5)
            axes.set_title(item.name + ("  ⚠ edge" if item.edge else ""), parse_math=False)
            axes.grid(axis="x", visible=False)
            percent_axis(axes)

    edges = [item.name for item in varied if item.edge]
    said = (
        f"The best trial lies at the edge of: {', '.join(edges)}." if edges else "No edge optimum."
    )
    return draw(
        "slices", "Slices by hyperparameter", said, paint, width=8.6, height=0.4 + 1.9 * rows
    )


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
