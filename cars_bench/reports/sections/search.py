"""The search: every trial, the best so far, and how each one learned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cars_bench.documents import to_json
from cars_bench.reports.inputs import Inputs, Json
from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PAPER,
    PURPLE,
    VERMILLION,
    Figures,
    draw,
    percent_axis,
    plain_axes,
)
from cars_bench.reports.varied import Hyperparameter, Varied, hyperparameters
from cars_bench.reports.words import Table, Tables, marked, percent, probe_name, short
from cars_bench.training.checkpoint import EpochResult
from cars_bench.tuning.leaderboard import LeaderboardRow
from cars_bench.tuning.ledger import Trial

COLUMNS = ("optimizer", "learning_rate", "batch_size", "parameters", "epochs")
"""Columns of the table that are left out where all trials agree."""
TOP_CURVES = 5
CURVE_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, INK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One line of the leaderboard.

    Attributes:
        rank: 1 for the best; 0 for what has not completed.
        tied: Its interval contains the best score, so the two cannot be told apart.
        stopped: It ended before its budget of epochs.
        note: Why it failed, or how far it is.
        seeds: Trainings with new seeds that `score` is the mean of; 0 is none.
        single: The trial's own score, which `curve` reaches.
    """

    rank: int
    trial_id: str
    name: str
    kind: str
    status: str
    score: float | None
    low: float | None
    high: float | None
    tied: bool
    winner: bool
    head: str
    optimizer: str
    learning_rate: float | None
    batch_size: int | None
    parameters: int | None
    epochs: int
    best_epoch: int | None
    stopped: bool
    seconds: float | None
    note: str
    values: Json
    head_spec: Json
    training_spec: Json
    curve: tuple[tuple[int, float], ...]
    seeds: int
    single: float | None


@dataclass(frozen=True, kw_only=True)
class SearchFacts:
    """Everything the search sections show.

    Attributes:
        rows: Completed first, by rank; then running and failed.
        history: (order, trial id, score) of completed trials as they were proposed.
        best_so_far: (order, score) wherever the best changed, and at the end.
        probes: (name, score) best first.
        planned: Trials the budget asks for.
    """

    name: str
    oracle: str
    planned: int | None
    planned_epochs: int | None
    completed: int
    failed: int
    running: int
    rows: tuple[TrialRow, ...]
    history: tuple[tuple[int, str, float], ...]
    best_so_far: tuple[tuple[int, float], ...]
    probes: tuple[tuple[str, float], ...]
    hyperparameters: tuple[Hyperparameter, ...] = ()

    def tied(self) -> int:
        """How many trials cannot be told from the first."""
        return sum(row.tied for row in self._trials)

    @property
    def varied(self) -> Varied:
        """The hyperparameters that varied, with the scores of the completed trials."""
        scores = {trial: score for _, trial, score in self.history}
        return Varied(self.hyperparameters, scores, self.winner)

    @property
    def winner(self) -> str:
        """The winning trial; empty where none is."""
        return next((row.trial_id for row in self.rows if row.winner), "")

    @property
    def curved(self) -> list[TrialRow]:
        """The trials with a learning curve, best first."""
        return [row for row in self._trials if row.curve]

    @property
    def edges(self) -> set[str]:
        """Every kind of edge that the winner lies at."""
        return {item.edge for item in self.hyperparameters if item.edge}

    @property
    def constant(self) -> dict[str, Any]:
        """The columns of the table in which all trials have the same value, and that value."""
        seen = {name: {getattr(row, name) for row in self._trials} for name in COLUMNS}
        same = {name: next(iter(v)) for name, v in seen.items() if len(v) == 1}
        return same if len(self._trials) > 1 else {}

    @property
    def _trials(self) -> list[TrialRow]:
        return [row for row in self.rows if row.kind == "trial"]


def facts(inputs: Inputs) -> SearchFacts | None:
    """Gather the search; `None` where no study exists."""
    if inputs.study is None:
        return None
    record = inputs.study.record
    trials = inputs.trials
    history = tuple(
        (trial.number, trial.trial_id, trial.score)
        for trial in trials
        if trial.status == "completed" and trial.score is not None
    )
    winner = inputs.winner.trial if inputs.winner else None
    return SearchFacts(
        name=inputs.study.name,
        oracle=record.oracle or "",
        planned=record.budget.trials,
        planned_epochs=record.budget.epochs,
        completed=len(history),
        failed=sum(trial.status == "failed" for trial in trials),
        running=sum(trial.status == "running" for trial in trials),
        rows=tuple(trial_rows(inputs)),
        history=history,
        best_so_far=tuple(best_so_far(history)),
        probes=tuple((probe_name(row.trial_id), row.score or 0.0) for row in inputs.probes),
        hyperparameters=tuple(hyperparameters(trials, inputs.space, winner)),
    )


def best_so_far(history: Iterable[tuple[int, str, float]]) -> list[tuple[int, float]]:
    """The running maximum over the history, one point a trial."""
    points: list[tuple[int, float]] = []
    for order, _, score in history:
        points.append((order, max(score, points[-1][1] if points else score)))
    return points


def trial_rows(inputs: Inputs) -> list[TrialRow]:
    """The leaderboard's lines, trials and probes; none where no study exists."""
    winner = inputs.winner
    budget = inputs.study.record.budget.epochs if inputs.study else None
    return [
        _row(rank if row.status == "completed" else 0, row, row is winner, budget)
        for rank, row in enumerate(inputs.board, 1)
    ]


def _row(rank: int, row: LeaderboardRow, winner: bool, budget: int | None) -> TrialRow:
    trial = row.trial
    training = trial.training
    ran = len(trial.epochs)
    planned = training.epochs if training else budget or 0
    return TrialRow(
        rank=rank,
        trial_id=row.trial_id,
        name=probe_name(row.trial_id) if row.kind == "probe" else row.trial_id,
        kind=row.kind,
        status=row.status,
        score=row.score if rank else None,
        low=row.low,
        high=row.high,
        tied=row.tied and row.kind == "trial" and not winner,
        winner=winner,
        head=head_words(trial),
        optimizer=training.optimizer if training else "",
        learning_rate=training.learning_rate if training else None,
        batch_size=training.batch_size if training else None,
        parameters=trial.parameters,
        epochs=ran,
        best_epoch=trial.best_epoch,
        stopped=row.status == "completed" and 0 < ran < planned,
        seconds=row.seconds if rank else None,
        note=trial.reason or (f"running, epoch {ran}" if row.status == "running" else ""),
        values=trial.values,
        head_spec=to_json(trial.head) if trial.head else {},
        training_spec=to_json(training) if training else {},
        curve=curve(trial.epochs),
        seeds=row.repeats,
        single=row.single if rank else None,
    )


def curve(epochs: Iterable[EpochResult]) -> tuple[tuple[int, float], ...]:
    """(epoch, validation top-1) of the epochs that measured it."""
    return tuple((item.epoch, item.val_top1) for item in epochs if item.val_top1 is not None)


def head_words(trial: Trial) -> str:
    """The head in one line, such as `480 relu, dropout 0.2`; values for a probe."""
    if trial.head is None:
        return ", ".join(f"{name} {short(value)}" for name, value in trial.values.items())
    return trial.head.describe().replace(" -> ", " → ")


def figure(search: SearchFacts) -> Figures:
    """The history and the learning curves, where a trial has completed."""
    if not search.history:
        return {}
    drawn = {"history": history(search)}
    if search.curved:
        drawn["curves"] = learning_curves(search)
    return drawn


def history(search: SearchFacts) -> Markup:
    """Every trial's own training as it was proposed, the best so far, the probes as lines."""
    won = [point for point in search.history if point[1] == search.winner]

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "trial, in the order proposed", "top-1 of one training")
        axes.plot([p[0] + 1 for p in search.history], [p[2] for p in search.history], "o",
                  color=MUTED, markersize=4, alpha=0.65, label="a trial")  # fmt: skip
        steps = search.best_so_far
        axes.step([p[0] + 1 for p in steps], [p[1] for p in steps], where="post", color=BLUE,
                  label="best training so far")  # fmt: skip
        for order, _, score in won:
            axes.plot(order + 1, score, "*", color=VERMILLION, markersize=12,
                      markeredgecolor=PAPER, label="winner")  # fmt: skip
        for dash, (name, score) in zip(DASHES[1:], search.probes, strict=False):
            axes.axhline(score, color=PURPLE, linestyle=dash, linewidth=1.2, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        percent_axis(axes)
        figure.legend(loc="outside upper left", ncols=3, fontsize=8.5, handlelength=2.2)

    best = search.best_so_far[-1][1]
    said = f"{len(search.history)} completed trials; the best single training reaches "
    said += f"{percent(best)}; a star marks the winner, {search.winner}."
    return draw("history", "Search history", said, paint, height=3.3)


def learning_curves(search: SearchFacts) -> Markup:
    """Validation top-1 by epoch: the best five in colour, the rest grey, a cross where stopped."""
    rows = search.curved

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "epoch", "validation top-1")
        for row in rows[TOP_CURVES:]:
            axes.plot(*_points(row), color=MUTED, alpha=0.35, linewidth=0.8)
        for row, colour, dash in zip(rows, CURVE_COLOURS, DASHES, strict=False):
            axes.plot(
                *_points(row), color=colour, linestyle=dash, label=marked(row.trial_id, row.winner)
            )
        for row in rows:
            if row.stopped:
                axes.plot(*row.curve[-1], "x", color=MUTED, markersize=4, markeredgewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        percent_axis(axes)
        figure.legend(loc="outside upper left", ncols=5, fontsize=8.5, handlelength=2.6)

    stopped = sum(row.stopped for row in rows)
    said = f"Curves of {len(rows)} trials; {stopped} stopped before their budget of epochs."
    return draw("curves", "Learning curves", said, paint, height=3.4)


def _points(row: TrialRow) -> tuple[list[int], list[float]]:
    return [epoch for epoch, _ in row.curve], [value for _, value in row.curve]


def table(search: SearchFacts) -> Tables:
    """The numbers of both figures."""
    if not search.history:
        return {}
    tables = {"history": history_table(search), "curves": curves_table(search)}
    return {name: table for name, table in tables.items() if table.rows}


def history_table(search: SearchFacts) -> Table:
    """Every completed trial as it was proposed, and the best so far."""
    best = dict(search.best_so_far)
    rows = [
        (
            str(order + 1),
            marked(trial, trial == search.winner),
            percent(score, 2),
            percent(best[order], 2),
        )
        for order, trial, score in search.history
    ]
    return Table(("Order", "Trial", "Its own training", "Best training so far"), tuple(rows))


def curves_table(search: SearchFacts) -> Table:
    """Validation top-1 of every epoch, a row a trial."""
    rows = [
        (marked(row.trial_id, row.winner), str(row.epochs), "yes" if row.stopped else "",
         " ".join(f"{100 * value:.1f}" for _, value in row.curve))
        for row in search.rows
        if row.curve
    ]  # fmt: skip
    return Table(("Trial", "Epochs", "Stopped early", "Top-1 by epoch, in percent"), tuple(rows))
