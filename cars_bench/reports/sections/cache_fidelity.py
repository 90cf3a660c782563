"""Does the cache tell the truth?  Read from what `cars-bench fidelity` measured.

Not the fidelity of the hand-off, which is the section `fidelity`.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.finetune.cache_fidelity_record import FidelityHead, FidelityRecord, ViewSource
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    MUTED,
    PHONE_WIDTH,
    Figures,
    draw,
    percent_axis,
    plain_axes,
)
from cars_bench.reports.words import Table, Tables, interval, marked, percent, points

COLOURS = {"winner": GREEN, "tied": BLUE, "other": MUTED}


@dataclass(frozen=True, kw_only=True)
class ComparedHead:
    """One head that was finished.

    Attributes:
        kind: `winner` of the cache, `tied` with its best, or `other`.
        rank: On the leaderboard among the heads, from 1.
        cached: Validation top-1 on the cache.
        finetuned: After fine-tuning, over the seeds; `lowest`..`highest` of these.
    """

    trial_id: str
    kind: str
    rank: int
    cached: float
    finetuned: float
    lowest: float
    highest: float


@dataclass(frozen=True, kw_only=True)
class CacheFidelityFacts:
    """What the cache is worth as a judge of heads.

    Attributes:
        heads: Best on the cache first.
        measured: What was found out, with every interval.
        advice: What it means for whoever has to choose a head.
    """

    heads: tuple[ComparedHead, ...]
    measured: FidelityRecord
    advice: str


def facts(inputs: Inputs) -> CacheFidelityFacts | None:
    """The heads and what they say of the cache; `None` before all of them are finished."""
    record = inputs.cache_fidelity
    if record is None or record.tau is None:
        return None
    heads = tuple(_compared(record, head) for head in record.heads)
    return CacheFidelityFacts(heads=heads, measured=record, advice=record.advice)


def _compared(record: FidelityRecord, head: FidelityHead) -> ComparedHead:
    won = head.trial_id == record.winner
    return ComparedHead(
        trial_id=head.trial_id,
        kind="winner" if won else "tied" if head.tied else "other",
        rank=head.rank,
        cached=head.cached,
        finetuned=head.mean,
        lowest=min(head.finetuned),
        highest=max(head.finetuned),
    )


def figure(facts: CacheFidelityFacts) -> Figures:
    """Each head by its score on the cache and after fine-tuning, the seeds' spread upright."""

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "top-1 on the cache", "after fine-tuning")
        percent_axis(axes, "x")
        percent_axis(axes)
        for head in facts.heads:
            _mark(axes, head)

    tau = facts.measured.tau
    said = f"{len(facts.heads)} heads by top-1 on the cache and after fine-tuning" + (
        f"; Kendall's tau {tau.value:.2f}." if tau else "."
    )
    drawn = draw("cache_fidelity", "On the cache and after", said, paint, PHONE_WIDTH, 3.4)
    return {"cache_fidelity": drawn}


def _mark(axes: Axes, head: ComparedHead) -> None:
    colour = COLOURS[head.kind]
    marker = "*" if head.kind == "winner" else "o"
    size = 12 if head.kind == "winner" else 6
    spread = [head.lowest, head.highest]
    axes.plot([head.cached, head.cached], spread, color=colour, linewidth=1.5, alpha=0.6)
    axes.plot(head.cached, head.finetuned, marker, color=colour, markersize=size)


def table(facts: CacheFidelityFacts) -> Tables:
    """Every head, and every source of views."""
    scores = ("Rank", "Top-1 on the cache", "Top-1 after", "Seeds from", "to")
    heads = Table(("Head", "On the cache", *scores), tuple(map(_cells, facts.heads)), (0, 1))
    found = {"cache_fidelity": heads}
    if facts.measured.views:
        headings = ("Views", "Top-1", "95% interval", "Points below live", "95% interval",
                    "Seconds an epoch", "Seconds in all")  # fmt: skip
        rows = tuple(map(_view_cells, facts.measured.views))
        found["cache_fidelity_views"] = Table(headings, rows)
    return found


def _cells(head: ComparedHead) -> tuple[str, ...]:
    words = {"winner": "the winner", "tied": "tied with the best", "other": "below the best"}
    return (
        marked(head.trial_id, head.kind == "winner"),
        words[head.kind],
        str(head.rank),
        percent(head.cached, 2),
        percent(head.finetuned, 2),
        percent(head.lowest, 2),
        percent(head.highest, 2),
    )


def _view_cells(source: ViewSource) -> tuple[str, ...]:
    lost = source.lost
    return (
        source.name,
        percent(source.top1.value, 2),
        interval(source.top1.low, source.top1.high, 2),
        points(lost.value) if source.views else "",
        f"{points(lost.low)} to {points(lost.high)}" if source.views else "",
        f"{source.epoch_seconds:.1f}",
        f"{source.seconds:.0f}",
    )
