"""Does the rank on the cache predict the rank after fine-tuning?  Read from `finetune --top N`."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.documents import to_json
from cars_bench.finetune.ranked_heads import RankedHead
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.svg import BLUE, INK, MUTED, PHONE_WIDTH, Figures, draw, plain_axes
from cars_bench.reports.words import Table, Tables, percent


@dataclass(frozen=True, kw_only=True)
class PlacedHead(RankedHead):
    """One head that was finished, with its place among the others, from 1.

    Attributes:
        before: On the cache; equal scores share a place.
        after: After fine-tuning.
    """

    before: int
    after: int


@dataclass(frozen=True)
class RankFacts:
    """Heads finished under one budget, best on the cache first.

    Attributes:
        tau: Kendall's tau-b between the two orders, in [-1, 1]; `low`..`high` is its
            95% bootstrap interval over heads and images.
    """

    heads: tuple[PlacedHead, ...]
    tau: float
    low: float
    high: float

    @property
    def settled(self) -> bool:
        """Whether the interval leaves out no agreement at all."""
        return self.low > 0 or self.high < 0


def facts(inputs: Inputs) -> RankFacts | None:
    """Place the heads that were finished under one budget; `None` where none were."""
    if inputs.ranking is None:
        return None
    heads = inputs.ranking.heads
    before = places([head.frozen for head in heads])
    after = places([head.finetuned for head in heads])
    placed = [
        PlacedHead(**to_json(head), before=first, after=last)
        for head, first, last in zip(heads, before, after, strict=True)
    ]
    placed.sort(key=lambda head: (head.before, head.after, head.trial_id))
    tau = inputs.ranking.kendall_tau
    return RankFacts(heads=tuple(placed), tau=tau.value, low=tau.low, high=tau.high)


def places(scores: list[float]) -> list[int]:
    """Place of each score from 1, the highest first; equal ones share a place."""
    return [1 + sum(other > score for other in scores) for score in scores]


def figure(ranks: RankFacts) -> Figures:
    """A line a head from its place on the cache to its place after fine-tuning."""
    heads = ranks.heads

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure)
        axes.grid(visible=False)
        for head in heads:
            _slope(axes, head)
        for place, ids, score in _together([(head.before, head.frozen, head) for head in heads]):
            _label(axes, (-0.07, place), f"{ids}  {percent(score)}", "right")
        for place, ids, score in _together([(head.after, head.finetuned, head) for head in heads]):
            _label(axes, (1.07, place), f"{percent(score)}  {ids}", "left")
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
    return {"ranks": draw("ranks", "Rank before and after", said, paint, PHONE_WIDTH, height)}


def _slope(axes: Axes, head: PlacedHead) -> None:
    colour = MUTED if head.drawn else BLUE
    dash = "--" if head.drawn else "-"
    axes.plot([0, 1], [head.before, head.after], dash, color=colour, marker="o", markersize=5)


def _together(placed: list[tuple[int, float, PlacedHead]]) -> list[tuple[int, str, float]]:
    """Each place, its heads and their score: one label, so that none is written over another."""
    found = {place: score for place, score, _ in placed}
    return [
        (place, ", ".join(head.trial_id for other, _, head in placed if other == place), score)
        for place, score in found.items()
    ]


def _label(axes: Axes, at: tuple[float, float], said: str, side: str) -> None:
    axes.text(*at, said, ha=side, va="center", color=INK, parse_math=False)


def table(ranks: RankFacts) -> Tables:
    """Every head with both of its places and scores."""
    places = ("Rank on the cache", "Top-1", "Rank after", "Top-1")
    rows = tuple(map(_cells, ranks.heads))
    return {"ranks": Table(("Head", "Run", "Chosen", *places), rows, words=(0, 1, 2))}


def _cells(head: PlacedHead) -> tuple[str, ...]:
    chosen = "at random" if head.drawn else "as one of the best"
    before = (str(head.before), percent(head.frozen, 2))
    after = (str(head.after), percent(head.finetuned, 2))
    return (head.trial_id, head.run, chosen, *before, *after)
