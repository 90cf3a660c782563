"""The winner against its runners-up, and what its score is worth: new seeds, the test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.documents import from_json
from cars_bench.evaluation.metrics import Estimate, newcombe
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.sections.search import TrialRow, trial_rows
from cars_bench.reports.svg import BLUE, GREEN, MUTED, PHONE_WIDTH, Figures, draw, share_rows
from cars_bench.reports.words import Table, Tables, count, interval, percent, points
from cars_bench.tuning.leaderboard import differences

CONTENDERS = 5
DRAWS = 4000
WIDTH_IN_DEVIATIONS = 2 * 1.959964


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True)
class Optimism:
    """The winner's curse, in shares of top-1.

    Attributes:
        trials: How many heads the winner was chosen from.
        expected: By how much a winner's validation score exceeds its true one, on average.
        paired: Measured by the search on the heads' answers to the same images; else
            the noise of each head is taken as its own.
        head: The trial whose frozen head was measured on both splits; empty where none was.
        validation: Its validation top-1, on the backbone.
        test: Its test top-1.
        change: Test less validation with its 95% interval (Newcombe 1998, for other images).
    """

    trials: int
    expected: float
    paired: bool
    head: str = ""
    validation: float | None = None
    test: float | None = None
    change: Estimate | None = None

    @property
    def settled(self) -> bool:
        """Whether the change is more than noise."""
        return self.change is not None and (self.change.low > 0 or self.change.high < 0)


def facts(inputs: Inputs) -> WinnerFacts | None:
    """Compare the best few heads; `None` where no trial has completed."""
    done = [row for row in trial_rows(inputs) if row.rank and row.kind == "trial"]
    best = done[:CONTENDERS] + [row for row in done[CONTENDERS:] if row.winner]
    winner = inputs.winner
    against = differences(inputs.ranked, winner) if winner else {}
    scored = [_contender(inputs, row, row is best[0], against.get(row.trial_id)) for row in best]
    return WinnerFacts(tuple(scored)) if scored else None


def _contender(
    inputs: Inputs, row: TrialRow, first: bool, difference: Estimate | None
) -> Contender:
    trial = next(item for item in inputs.trials if item.trial_id == row.trial_id)
    line = next(item for item in inputs.board if item.trial_id == row.trial_id)
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


def optimism(inputs: Inputs) -> Optimism | None:
    """Estimate the winner's curse; `None` with fewer than two scored trials."""
    scored = [
        (trial.score, trial.high - trial.low)
        for trial in inputs.ranked
        if trial.kind == "trial" and trial.low is not None and trial.high is not None
    ]
    if len(scored) <= 1:
        return None
    measured_drop = (inputs.study or {}).get("winner", {}).get("expected_drop")
    expected = _independent(scored) if measured_drop is None else float(measured_drop)
    return Optimism(len(scored), expected, measured_drop is not None, *_happened(inputs))


def _happened(inputs: Inputs) -> tuple[str, float, float, Estimate] | tuple[()]:
    run = inputs.run
    scores = [run.accuracy("frozen", split) if run else None for split in ("val", "test")]
    val, test = (from_json(Estimate, item["top1"]) if item else None for item in scores)
    if run is None or val is None or test is None:
        return ()
    return str(run.record.get("trial_id", "")), val.value, test.value, newcombe(val, test)


def _independent(scored: list[tuple[float | None, float]]) -> float:
    values = np.array(scored, float)
    return expected_optimism(values[:, 0], values[:, 1] / WIDTH_IN_DEVIATIONS)


def expected_optimism(scores: np.ndarray, deviations: np.ndarray, seed: int = 0) -> float:
    """Mean excess of a winner's noisy score over its own, by parametric bootstrap.

    The observed scores stand for the true ones and every head's noise is
    drawn alone; heads scored on the same images share noise, so this is an
    upper estimate.

    Args:
        scores: float [heads].
        deviations: Standard errors of the scores, float [heads].
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    noise = generator.normal(0.0, 1.0, (DRAWS, len(scores))) * deviations
    winners = (scores + noise).argmax(axis=1)
    return float(noise[np.arange(DRAWS), winners].mean())


def figure(facts: WinnerFacts) -> Figures:
    """The best few heads with their intervals, their single trainings and what picked them."""
    shown = facts.contenders[::-1]

    def paint(figure: Figure) -> None:
        axes = share_rows(figure, "validation top-1", [_standing(item) for item in shown])
        for place, item in enumerate(shown):
            _mark(axes, place, item)

    said = "; ".join(f"{_standing(item)} {percent(item.score)}" for item in facts.contenders)
    height = 0.75 + 0.34 * len(shown)
    drawn = draw("contenders", "The best heads", said + ".", paint, PHONE_WIDTH, height)
    return {"contenders": drawn}


def _standing(item: Contender) -> str:
    return item.trial_id + (", winner" if item.winner else ", tied" if item.tied else "")


def _mark(axes: Axes, place: int, item: Contender) -> None:
    colour = GREEN if item.winner else BLUE
    axes.plot([item.low, item.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    axes.plot(item.seeds, [place] * len(item.seeds), "|", color=colour, markersize=9)
    axes.plot(item.score, place, "o", color=colour, markersize=7)
    axes.plot(item.single, place, "x", color=MUTED, markersize=5)


def table(facts: WinnerFacts) -> Tables:
    """The best few heads, and how the others differ from the winner where that is known."""
    differing = ("Less the winner, points",) if facts.paired else ()
    numbers = ("Top-1", "95% interval", *differing, "Picked for", "New seeds", "Parameters")
    headings = ("Head", "Verdict", *numbers, "Layers")
    rows = [_cells(item, facts) for item in facts.contenders]
    return {"contenders": Table(headings, tuple(rows), words=(0, 1, len(headings) - 1))}


def _cells(item: Contender, facts: WinnerFacts) -> tuple[str, ...]:
    return (
        item.trial_id,
        _standing_words(item, first=item is facts.contenders[0]),
        percent(item.score, 2),
        interval(item.low, item.high),
        *([_difference(item.difference)] if facts.paired else []),
        percent(item.single, 2),
        ", ".join(map(percent, item.seeds)),
        count(item.parameters),
        item.head,
    )


def _standing_words(item: Contender, first: bool) -> str:
    if item.winner:
        return Markup("<b>★ winner</b>") + (", tied" if item.tied else "")
    if item.tied:
        return "≈ tied"
    return "best mean" if first else "behind"


def _difference(less: Estimate | None) -> str:
    return f"{points(less.value)} ({points(less.low)} to {points(less.high)})" if less else ""
