"""The winner against its runners-up, and what its score is worth: new seeds, the test images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.evaluation.metrics import Estimate, newcombe, wilson
from cars_bench.progress import plural
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.sections.search import head_words
from cars_bench.reports.svg import BLUE, GREEN, MUTED, PHONE_WIDTH, Figures, draw, share_rows
from cars_bench.reports.words import (
    WINNER_MARK,
    Table,
    Tables,
    count,
    interval,
    marked,
    percent,
    points,
)
from cars_bench.tuning.leaderboard import LeaderboardRow, differences

CONTENDERS = 5
SAME_SCORE = 1e-9
SHOWN = "the head's one number, here and everywhere else"
PICKED = "the head was picked for it, so it flatters"
PICKED_AND_SHOWN = f"{SHOWN}; {PICKED}"
CARRIED = "the one whose weights are kept, and measured on test"


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
class Training:
    """One number of the frozen head on the validation images, and what it is.

    Attributes:
        name: What it is called.
        score: Top-1 in [0, 1].
        about: What it is good for.
        shown: It is the head's one number, which stands everywhere else.
    """

    name: str
    score: float
    about: str
    shown: bool = False


@dataclass(frozen=True)
class WinnerFacts:
    """The best few heads in the order of the leaderboard, and the trainings of one of them.

    Attributes:
        head: The trial whose frozen head the report speaks of.
        trainings: Its numbers, its one number first; each is of another training.
    """

    contenders: tuple[Contender, ...]
    head: str
    trainings: tuple[Training, ...]

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


@dataclass(frozen=True, kw_only=True)
class Optimism:
    """The winner's curse, in shares of top-1.

    Attributes:
        trials: How many heads the winner was chosen from.
        expected: By how much a winner's validation score exceeds its true one, on average;
            from a bootstrap of all heads on the same validation images.
        head: The trial whose frozen head was measured on both splits; empty where none was.
        validation: Its validation top-1, on the backbone.
        test: Its test top-1.
        change: Test less validation with its 95% interval (Newcombe 1998, for other images).
    """

    trials: int
    expected: float
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
    winner = inputs.winner
    if winner is None:
        return None
    done = [row for row in inputs.ranked if row.kind == "trial"]
    best = done[:CONTENDERS] + [row for row in done[CONTENDERS:] if row is winner]
    against = differences([row.trial for row in inputs.ranked], winner.trial)
    scored = [_contender(row, row is winner, against.get(row.trial_id)) for row in best]
    return WinnerFacts(
        contenders=(replace(scored[0], tied=False), *scored[1:]),
        head=inputs.frozen_trial,
        trainings=tuple(trainings(inputs)),
    )


def trainings(inputs: Inputs) -> list[Training]:
    """Tell the numbers of one head apart: the one that is shown, what picked it, what it carries.

    Two of them are one where they are the same training.
    """
    row = inputs.frozen_row
    if row is None or row.score is None or row.single is None:
        return []
    carried = carried_score(inputs)
    one = carried is not None and abs(carried - row.single) < SAME_SCORE
    if not row.repeats:
        found = [Training("The trial's own training", row.score, PICKED_AND_SHOWN, shown=True)]
    else:
        mean = f"Mean of {plural(row.repeats, 'training')} with new seeds"
        picked = f"{PICKED}; {CARRIED}" if one else PICKED
        found = [
            Training(mean, row.score, SHOWN, shown=True),
            Training("The trial's own training", row.single, picked),
        ]
    if carried is not None and not one:
        found.append(Training("The training that is stored", carried, CARRIED))
    return found


def carried_score(inputs: Inputs) -> float | None:
    """Validation top-1 of the very training that the run carries, or that is stored."""
    if inputs.run is not None:
        score = inputs.run.score("frozen", "val")
        return score.top1.value if score else None
    return inputs.head.record.score if inputs.head else None


def _contender(row: LeaderboardRow, winner: bool, difference: Estimate | None) -> Contender:
    score = row.score or 0.0
    return Contender(
        trial_id=row.trial_id,
        head=head_words(row.trial),
        score=score,
        low=score if row.low is None else row.low,
        high=score if row.high is None else row.high,
        single=score if row.single is None else row.single,
        seeds=tuple(again.score or 0.0 for again in row.trial.repeats),
        parameters=row.parameters,
        tied=row.tied,
        winner=winner,
        difference=None if winner else difference,
    )


def optimism(inputs: Inputs) -> Optimism | None:
    """The winner's curse, expected and happened; `None` with fewer than two scored trials."""
    if inputs.curse is None or inputs.curse.candidates <= 1:
        return None
    expected = Optimism(trials=inputs.curse.candidates, expected=inputs.curse.expected_drop)
    val = _carried(inputs)
    test = inputs.score("frozen", "test")
    if val is None or test is None:
        return expected
    return replace(
        expected,
        head=inputs.frozen_trial,
        validation=val.value,
        test=test.top1.value,
        change=newcombe(val, test.top1),
    )


def _carried(inputs: Inputs) -> Estimate | None:
    """The validation top-1 of the training that was tested, with Wilson's interval."""
    if inputs.run is not None:
        score = inputs.run.score("frozen", "val")
        return score.top1 if score else None
    value = carried_score(inputs)
    if value is None or inputs.dataset is None:
        return None
    images = len(inputs.dataset.records("val"))
    return wilson(round(value * images), images)


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
    standing = ", winner" if item.winner else ", tied" if item.tied else ""
    return marked(item.trial_id, item.winner) + standing


def _mark(axes: Axes, place: int, item: Contender) -> None:
    colour = GREEN if item.winner else BLUE
    axes.plot([item.low, item.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    axes.plot(item.seeds, [place] * len(item.seeds), "|", color=colour, markersize=9)
    mark = "*" if item.winner else "o"
    axes.plot(item.score, place, mark, color=colour, markersize=12 if item.winner else 7)
    axes.plot(item.single, place, "x", color=MUTED, markersize=5)


def table(facts: WinnerFacts) -> Tables:
    """The best few heads, and how the others differ from the winner where that is known."""
    differing = ("Less the winner, points",) if facts.paired else ()
    numbers = ("Top-1", "95% interval", *differing, "Its own training", "New seeds", "Parameters")
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
        return Markup("<b>{} winner</b>").format(WINNER_MARK) + (", tied" if item.tied else "")
    if item.tied:
        return "≈ tied"
    return "best mean" if first else "behind"


def _difference(less: Estimate | None) -> str:
    return f"{points(less.value)} ({points(less.low)} to {points(less.high)})" if less else ""
