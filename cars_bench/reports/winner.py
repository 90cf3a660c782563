"""The winner against its runners-up, as plain numbers: what new seeds make of their scores."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.evaluation.metrics import Estimate
from cars_bench.reports.inputs import Sources
from cars_bench.reports.search import Row, search_rows
from cars_bench.tuning.leaderboard import differences

CONTENDERS = 5


@dataclass(frozen=True)
class Contender:
    """One of the best heads; accuracies are validation top-1 in [0, 1].

    Attributes:
        score: Mean over new seeds where it was trained again, else the trial's own.
        low: Lower end of the 95% interval of `score`, over images and seeds.
        high: Upper end.
        single: The trial's own score, which it was picked for.
        seeds: Score of each training with a new seed.
        tied: Cannot be told from the first one.
        difference: Score less the winner's, with the 95% interval of the paired bootstrap;
            `None` for the winner, and where the ledger does not hold both heads' answers.
    """

    trial_id: str
    head: str
    score: float
    low: float
    high: float
    single: float
    seeds: tuple[float, ...]
    parameters: int | None
    tied: bool
    winner: bool
    difference: Estimate | None


@dataclass(frozen=True)
class WinnerFacts:
    """The best few heads in the order of the leaderboard."""

    contenders: tuple[Contender, ...]

    @property
    def seeds(self) -> int:
        """Most trainings with new seeds that any of them had."""
        return max(len(item.seeds) for item in self.contenders)

    @property
    def chosen(self) -> Contender | None:
        """The winner, where it is among them."""
        return next((item for item in self.contenders if item.winner), None)

    @property
    def paired(self) -> bool:
        """Whether any was compared with the winner image by image."""
        return any(item.difference for item in self.contenders)


def winner_facts(sources: Sources) -> WinnerFacts | None:
    """Compare the best few heads; `None` where no trial has completed."""
    done = [row for row in search_rows(sources) if row.rank and row.kind == "trial"]
    best = done[:CONTENDERS] + [row for row in done[CONTENDERS:] if row.winner]
    winner = sources.winner
    against = differences(sources.ranked, winner) if winner else {}
    scored = [_contender(sources, row, row is best[0], against.get(row.trial_id)) for row in best]
    return WinnerFacts(tuple(scored)) if scored else None


def _contender(sources: Sources, row: Row, first: bool, difference: Estimate | None) -> Contender:
    trial = next(item for item in sources.trials if item.trial_id == row.trial_id)
    line = next(item for item in sources.board if item.trial_id == row.trial_id)
    score = row.score or 0.0
    return Contender(
        trial_id=row.trial_id,
        head=row.head,
        score=score,
        low=score if row.low is None else row.low,
        high=score if row.high is None else row.high,
        single=score if line.single is None else line.single,
        seeds=tuple(item.score or 0.0 for item in trial.repeats),
        parameters=row.parameters,
        tied=line.tied and not first,
        winner=row.winner,
        difference=None if row.winner else difference,
    )
