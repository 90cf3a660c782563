"""Does the rank on the cache predict the rank after fine-tuning?  Read from `finetune --top N`."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.reports.inputs import Inputs, Json
from cars_bench.reports.svg import BLUE, INK, MUTED, PHONE_WIDTH, Figures, draw, plain_axes
from cars_bench.reports.words import Table, Tables, percent


@dataclass(frozen=True, kw_only=True)
class RankedHead:
    """One head that was finished; accuracies are validation top-1 in [0, 1].

    Attributes:
        drawn: Drawn at random, not one of the best.
        frozen: On the cache.
        finetuned: After fine-tuning.
        before: Place among these heads on the cache, from 1; equal scores share one.
        after: The same after fine-tuning.
    """

    trial_id: str
    run: str
    drawn: bool
    frozen: float
    finetuned: float
    before: int
    after: int


@dataclass(frozen=True)
class RankFacts:
    """Heads finished under one budget, best on the cache first.

    Attributes:
        tau: Kendall's tau-b between the two orders, in [-1, 1]; `low`..`high` is its
            95% bootstrap interval over heads and images.
    """

    heads: tuple[RankedHead, ...]
    tau: float
    low: float
    high: float

    @property
    def settled(self) -> bool:
        """Whether the interval leaves out no agreement at all."""
        return self.low > 0 or self.high < 0


def facts(inputs: Inputs) -> RankFacts | None:
    """Read the ranking of the most heads; `None` where none was measured."""
    if inputs.ranking is None:
        return None
    heads = inputs.ranking["heads"]
    tau = inputs.ranking["kendall_tau"]
    before = places([float(head["frozen"]) for head in heads])
    after = places([float(head["finetuned"]) for head in heads])
    ranked = [_head(*item) for item in zip(heads, before, after, strict=True)]
    ranked.sort(key=lambda head: (head.before, head.after, head.trial_id))
    return RankFacts(tuple(ranked), *(float(tau[name]) for name in ("value", "low", "high")))


def places(scores: list[float]) -> list[int]:
    """Place of each score from 1, the highest first; equal ones share a place."""
    return [1 + sum(other > score for other in scores) for score in scores]


def _head(head: Json, before: int, after: int) -> RankedHead:
    return RankedHead(
        trial_id=str(head["trial_id"]),
        run=str(head["run"]),
        drawn=bool(head["drawn"]),
        frozen=float(head["frozen"]),
        finetuned=float(head["finetuned"]),
        before=before,
        after=after,
    )


def figure(ranks: RankFacts) -> Figures:
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
    return {"ranks": draw("ranks", "Rank before and after", said, paint, PHONE_WIDTH, height)}


def _slope(axes: Axes, head: RankedHead) -> None:
    colour = MUTED if head.drawn else BLUE
    dash = "--" if head.drawn else "-"
    axes.plot([0, 1], [head.before, head.after], dash, color=colour, marker="o", markersize=5)
    before = f"{head.trial_id}  {percent(head.frozen)}"
    after = f"{percent(head.finetuned)}  {head.trial_id}"
    axes.text(-0.07, head.before, before, ha="right", va="center", color=INK, parse_math=False)
    axes.text(1.07, head.after, after, ha="left", va="center", color=INK, parse_math=False)


def table(ranks: RankFacts) -> Tables:
    """Every head with both of its places and scores."""
    places = ("Rank on the cache", "Top-1", "Rank after", "Top-1")
    rows = tuple(map(_cells, ranks.heads))
    return {"ranks": Table(("Head", "Run", "Chosen", *places), rows, words=(0, 1, 2))}


def _cells(head: RankedHead) -> tuple[str, ...]:
    chosen = "at random" if head.drawn else "as one of the best"
    before = (str(head.before), percent(head.frozen, 2))
    after = (str(head.after), percent(head.finetuned, 2))
    return (head.trial_id, head.run, chosen, *before, *after)
