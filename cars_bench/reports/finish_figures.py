"""Figures of the verdict and of fine-tuning: each takes plain facts and gives inline SVG."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.reports.finish import RunFacts
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
from cars_bench.reports.verdict import Rung, Verdict, percent
from cars_bench.reports.winner import Contender, WinnerFacts

KIND_COLOURS = {"chance": MUTED, "probe": PURPLE, "frozen": BLUE, "finetuned": GREEN}
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
        right.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
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
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color=BLUE,
                  clip_on=False)  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        percent_axis(axes, "x")
        percent_axis(axes)

    said = f"Expected calibration error {percent(mistakes.calibration_error)}."
    return draw("reliability", "Reliability diagram", said, paint, width=4.6, height=3.4)


def gains(changes: tuple[Gain, ...], count: int = 10) -> Markup:
    """Classes that gained and lost most, as dumbbells from before to after.

    Args:
        changes: Biggest gain first.
        count: Most classes shown of each kind.
    """
    up = [gain for gain in changes[:count] if gain.change > 0]
    down = [gain for gain in changes[-count:] if gain.change < 0 and gain not in up]
    shown = [*up, *down][::-1]

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "recall: open before, filled after")
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
    return draw("ranks", "Rank before and after", said, paint, width=5.4, height=height)


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
    return draw("contenders", "The best heads", said + ".", paint, width=5.7, height=height)


def _standing(item: Contender) -> str:
    return item.trial_id + (", winner" if item.winner else ", tied" if item.tied else "")


def _contender(axes: Axes, place: int, item: Contender) -> None:
    colour = GREEN if item.winner else BLUE
    axes.plot([item.low, item.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    axes.plot(item.seeds, [place] * len(item.seeds), "|", color=colour, markersize=9)
    axes.plot(item.score, place, "o", color=colour, markersize=7)
    axes.plot(item.single, place, "x", color=MUTED, markersize=5)
