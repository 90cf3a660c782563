"""Figures of the verdict and of fine-tuning: each takes plain facts and gives inline SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cars_bench.reports.finish import RunFacts, extremes
from cars_bench.reports.mistakes import Gain, MistakeFacts
from cars_bench.reports.ranks import RankedHead, RankFacts
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
    share_rows,
)
from cars_bench.reports.verdict import Baseline, Verdict, percent
from cars_bench.reports.winner import Contender, WinnerFacts

KIND_COLOURS = {"chance": MUTED, "probe": PURPLE, "frozen": BLUE, "finetuned": GREEN}
NAME_WIDTH = 24
PHONE_WIDTH = 4.8
"""Inches that a phone shows whole, with text that can still be read."""
MARKERS = {"chance": "|", "probe": "D", "frozen": "o", "finetuned": "s"}


def ladder(verdict: Verdict) -> Markup:
    """Every accuracy on one axis with its 95% interval: open marks validation, filled ones test."""
    rungs = verdict.rungs

    def paint(figure: Figure) -> None:
        axes = share_rows(figure, "top-1 accuracy", [_label(rung) for rung in rungs])
        for place, rung in enumerate(rungs):
            _rung(axes, place, rung)
        axes.set_xlim(0, min(1.0, max(r.high for r in rungs) + 0.12))

    said = "; ".join(f"{_label(r)} {percent(r.value)}" for r in rungs)
    height = 0.75 + 0.33 * len(rungs)
    return draw(
        "ladder",
        "From chance to the finished model",
        said + ".",
        paint,
        width=PHONE_WIDTH,
        height=height,
    )


def _rung(axes: Axes, place: int, rung: Baseline) -> None:
    colour = KIND_COLOURS[rung.kind]
    axes.plot([rung.low, rung.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    face = colour if rung.split == "test" else PAPER
    axes.plot(rung.value, place, MARKERS[rung.kind], color=colour, markerfacecolor=face,
              markersize=7, markeredgewidth=1.8)  # fmt: skip
    axes.annotate(percent(rung.value), (max(rung.high, rung.value), place), xytext=(8, 0),
                  textcoords="offset points", va="center", color=INK)  # fmt: skip


def _label(rung: Baseline) -> str:
    return rung.label if rung.kind == "chance" else f"{rung.label}, {rung.split}"


def finetune_curve(run: RunFacts, number: int) -> Markup:
    """Validation top-1, losses and learning rates by epoch, side by side where there is room."""
    panels = {"validation top-1": _top1, "loss": _losses, "learning rate": _rates}
    drawn = [
        _panel(run, f"run{number}-{place}", title, paint)
        for place, (title, paint) in enumerate(panels.items())
    ]
    return Markup('<div class="panels">{}</div>').format(Markup("").join(drawn))


def _panel(run: RunFacts, name: str, title: str, paint: Callable[[Axes, RunFacts], None]) -> Markup:
    """One panel; the first epoch is marked where something was unfrozen, and the kept one."""

    def paint_panel(figure: Figure) -> None:
        axes = plain_axes(figure, "epoch")
        axes.set_title(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        paint(axes, run)
        if run.unfrozen:
            axes.axvline(run.history[0].epoch, color=MUTED, linewidth=1, linestyle="-.")
        if run.best_epoch is not None:
            axes.axvline(run.best_epoch, color=GREEN, linewidth=1, linestyle=":")

    unfrozen = f" {run.unfrozen} was unfrozen at the first." if run.unfrozen else ""
    said = f"{len(run.history)} epochs of {run.name}; the best epoch is {run.best_epoch}.{unfrozen}"
    return draw(name, f"Fine-tuning: {title}", said, paint_panel, width=2.9, height=2.8)


def _top1(axes: Axes, run: RunFacts) -> None:
    _series(axes, run, [item.val_top1 for item in run.history], BLUE)
    percent_axis(axes)
    frozen = [rung for rung in run.accuracies if rung.kind == "frozen" and rung.split == "val"]
    if frozen:
        axes.axhline(frozen[0].value, color=MUTED, linestyle="--", linewidth=1)
    if run.unfrozen:
        axes.annotate(f"{run.unfrozen} unfrozen", (run.history[0].epoch, 1), xytext=(4, -1),
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                      va="top", color=MUTED, fontsize=8.5, parse_math=False)  # fmt: skip


def _losses(axes: Axes, run: RunFacts) -> None:
    _series(axes, run, [item.train_loss for item in run.history], VERMILLION, "train")
    _series(axes, run, [item.val_loss for item in run.history], BLUE, "val", "--")
    axes.legend(fontsize=8.5)


def _rates(axes: Axes, run: RunFacts) -> None:
    """The recorded rate is the head's; the backbone's is a share of it."""
    rates = [item.learning_rate for item in run.history]
    _series(axes, run, rates, PURPLE, "head")
    if run.unfrozen:
        below = [None if rate is None else rate * run.backbone_rate for rate in rates]
        _series(axes, run, below, BLUE, f"backbone, × {run.backbone_rate:g}", "--")
    axes.legend(fontsize=8.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _series(axes: Axes, run: RunFacts, values: list[float | None],
            colour: str, label: str = "", dash: str = "-") -> None:  # fmt: skip
    epochs = [item.epoch for item in run.history]
    shown = [float("nan") if value is None else value for value in values]
    axes.plot(epochs, shown, color=colour, linestyle=dash, label=label, marker=".", markersize=4)


def reliability(mistakes: MistakeFacts) -> Markup:
    """Confidence against accuracy; the diagonal is a model that knows how sure to be."""
    bins = mistakes.bins

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "the model's own probability", "share right")
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
        width = [b.high - b.low for b in bins]
        axes.bar([b.low for b in bins], [b.accuracy for b in bins], width, align="edge",
                 color=BLUE, alpha=0.35, edgecolor=BLUE)  # fmt: skip
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color=BLUE,
                  clip_on=False)  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        percent_axis(axes, "x")
        percent_axis(axes)

    said = "; ".join(
        f"{item.stage}: {percent(item.sure, 0)} sure, {percent(item.right.value, 0)} right"
        for item in mistakes.calibrations
    )
    return draw("reliability", "Reliability diagram", said + ".", paint, width=4.6, height=3.4)


def gains(changes: tuple[Gain, ...], count: int = 10) -> Markup:
    """Classes that gained and lost most, as dumbbells from before to after.

    Args:
        changes: Biggest gain first.
        count: Most classes shown of each kind.
    """
    up = extremes([gain for gain in changes if gain.change > 0], count)
    down = extremes([gain for gain in changes[::-1] if gain.change < 0], count)
    notes = [note for note in (up.note, down.note) if note]
    rows: list[Gain | str] = [*up.shown, *notes, *down.shown[::-1]]
    labels = [_wrapped(row) if isinstance(row, Gain) else row for row in rows]

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "recall: open before, filled after")
        axes.grid(axis="x", visible=True)
        for place, row in enumerate(rows):
            if isinstance(row, Gain):
                _gain(axes, place, row)
        axes.set_yticks(range(len(rows)), labels, parse_math=False)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        percent_axis(axes, "x")

    said = f"{len(up.shown)} classes that gained most and {len(down.shown)} that lost most."
    lines = max((label.count("\n") + 1 for label in labels), default=1)
    height = 0.8 + (0.12 + 0.15 * lines) * max(len(rows), 1)
    return draw("gains", "Change by class", said, paint, width=PHONE_WIDTH, height=height)


def _wrapped(gain: Gain) -> str:
    """The whole name over as many lines as it takes, with the test images."""
    return textwrap.fill(
        f"{gain.name}\N{NO-BREAK SPACE}({gain.n})", NAME_WIDTH, break_on_hyphens=False
    )


def _gain(axes: Axes, place: int, gain: Gain) -> None:
    colour = GREEN if gain.change > 0 else VERMILLION
    axes.plot([gain.before, gain.after], [place, place], color=colour, alpha=0.5)
    axes.plot(gain.before, place, "o", color=colour, markerfacecolor=PAPER)
    axes.plot(gain.after, place, "o" if gain.change > 0 else "v", color=colour)


def rank_slopes(ranks: RankFacts) -> Markup:
    """A line a head from its place on the cache to its place after fine-tuning."""
    heads = ranks.heads

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure)
        axes.grid(visible=False)
        for head in heads:
            _slope(axes, head)
        axes.set_xlim(-0.75, 1.75)
        axes.set_ylim(len(heads) + 0.6, 0.4)
        axes.set_xticks([0, 1], ["on the cache", "after fine-tuning"])
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)

    said = (
        f"{len(heads)} heads by rank on the cache and after fine-tuning; "
        f"Kendall's tau {ranks.tau:.2f}."
    )
    height = 0.9 + 0.3 * len(heads)
    return draw("ranks", "Rank before and after", said, paint, width=PHONE_WIDTH, height=height)


def _slope(axes: Axes, head: RankedHead) -> None:
    colour, dash = (MUTED, "--") if head.drawn else (BLUE, "-")
    axes.plot([0, 1], [head.before, head.after], dash, color=colour, marker="o", markersize=5)
    before = f"{head.trial_id}  {percent(head.frozen)}"
    after = f"{percent(head.finetuned)}  {head.trial_id}"
    axes.text(-0.07, head.before, before, ha="right", va="center", color=INK, parse_math=False)
    axes.text(1.07, head.after, after, ha="left", va="center", color=INK, parse_math=False)


def contenders(facts: WinnerFacts) -> Markup:
    """The best few heads with their intervals, their single trainings and what picked them."""
    shown = facts.contenders[::-1]

    def paint(figure: Figure) -> None:
        axes = share_rows(figure, "validation top-1", [_standing(item) for item in shown])
        for place, item in enumerate(shown):
            _contender(axes, place, item)

    said = "; ".join(f"{_standing(item)} {percent(item.score)}" for item in facts.contenders)
    height = 0.75 + 0.34 * len(shown)
    return draw("contenders", "The best heads", said + ".", paint, width=PHONE_WIDTH, height=height)


def _standing(item: Contender) -> str:
    return item.trial_id + (", winner" if item.winner else ", tied" if item.tied else "")


def _contender(axes: Axes, place: int, item: Contender) -> None:
    colour = GREEN if item.winner else BLUE
    axes.plot([item.low, item.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    axes.plot(item.seeds, [place] * len(item.seeds), "|", color=colour, markersize=9)
    axes.plot(item.score, place, "o", color=colour, markersize=7)
    axes.plot(item.single, place, "x", color=MUTED, markersize=5)
