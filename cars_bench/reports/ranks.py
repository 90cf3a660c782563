"""Does the rank on the cache predict the rank after fine-tuning?  Read from `finetune --top N`."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.reports.inputs import Json, Sources


@dataclass(frozen=True)
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


def rank_facts(sources: Sources) -> RankFacts | None:
    """Read the ranking of the most heads; `None` where none was measured."""
    if sources.ranking is None:
        return None
    heads, tau = sources.ranking["heads"], sources.ranking["kendall_tau"]
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
