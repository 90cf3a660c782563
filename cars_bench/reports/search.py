"""The search as plain numbers: every trial, the best so far, and how each one learned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cars_bench.reports.inputs import Epoch, Json, Sources
from cars_bench.reports.verdict import probe_name
from cars_bench.training.checkpoint import EpochResult
from cars_bench.training.specs import HeadSpec
from cars_bench.tuning import leaderboard
from cars_bench.tuning.ledger import Trial

EDGE = 0.05
"""Share of a (log) range that counts as its end."""

COLUMNS = ("optimizer", "learning_rate", "batch_size", "parameters", "epochs")
"""Columns of the table that are left out where all trials agree."""


@dataclass(frozen=True)
class Row:
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


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter that varied: its values by trial and where the winner lies.

    Attributes:
        kind: `number` or `choice`.
        log: The space draws it on a log scale.
        low, high: Its range in the space, or as seen; `None` for a choice.
        options: The choices in order, as text; empty for a number.
        values: By trial; one of `options` for a choice.
        edge: `low` or `high` where the winner lies at an end of the range that can be
            widened, `limit` where it lies at 0, below which there is nothing, else empty.
        integer: All its values are whole numbers.
    """

    name: str
    kind: str
    log: bool
    low: float | None
    high: float | None
    options: tuple[str, ...]
    values: dict[str, Any]
    edge: str = ""
    integer: bool = False


@dataclass(frozen=True)
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
    rows: tuple[Row, ...]
    history: tuple[tuple[int, str, float], ...]
    best_so_far: tuple[tuple[int, float], ...]
    probes: tuple[tuple[str, float], ...]
    hyperparameters: tuple[Hyperparameter, ...] = field(default=())

    def tied(self) -> int:
        """How many trials cannot be told from the first."""
        return sum(row.tied for row in self._trials)

    @property
    def winner(self) -> str:
        """The winning trial; empty where none is."""
        return next((row.trial_id for row in self.rows if row.winner), "")

    @property
    def curved(self) -> list[Row]:
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
    def _trials(self) -> list[Row]:
        return [row for row in self.rows if row.kind == "trial"]


def search_facts(sources: Sources) -> SearchFacts | None:
    """Gather the search; `None` where no study exists."""
    if sources.study is None:
        return None
    budget = sources.study.get("budget", {})
    trials = [trial for trial in sources.trials if trial.kind == "trial"]
    space, winner = sources.study.get("space") or {}, sources.winner
    history = tuple(
        (trial.number, trial.trial_id, trial.score)
        for trial in trials
        if trial.status == "completed" and trial.score is not None
    )
    return SearchFacts(
        name=str(sources.study_name),
        oracle=str(sources.study.get("oracle", "")),
        planned=budget.get("trials"),
        planned_epochs=budget.get("epochs"),
        completed=len(history),
        failed=sum(trial.status == "failed" for trial in trials),
        running=sum(trial.status == "running" for trial in trials),
        rows=tuple(search_rows(sources)),
        history=history,
        best_so_far=tuple(best_so_far(history)),
        probes=tuple((probe_name(probe), probe.score or 0.0) for probe in sources.probes),
        hyperparameters=tuple(hyperparameters(trials, space, winner)),
    )


def best_so_far(history: Iterable[tuple[int, str, float]]) -> list[tuple[int, float]]:
    """The running maximum over the history, one point a trial."""
    points: list[tuple[int, float]] = []
    for order, _, score in history:
        points.append((order, max(score, points[-1][1] if points else score)))
    return points


def search_rows(sources: Sources) -> list[Row]:
    """The leaderboard's lines, trials and probes; none where no study exists."""
    budget_epochs = (sources.study or {}).get("budget", {}).get("epochs")
    records = {trial.trial_id: trial for trial in sources.trials}
    winner = sources.winner.trial_id if sources.winner else ""
    done = sum(line.status == "completed" for line in sources.board)
    ranks = [*range(1, done + 1), *[0] * (len(sources.board) - done)]
    return [
        _row(rank, line, records[line.trial_id], line.trial_id == winner, budget_epochs)
        for rank, line in zip(ranks, sources.board, strict=True)
    ]


def _row(rank: int, line: leaderboard.Row, trial: Trial, winner: bool, budget: int | None) -> Row:
    ran, training = line.epochs, line.training or {}
    return Row(
        rank=rank,
        trial_id=line.trial_id,
        name=probe_name(trial) if line.kind == "probe" else line.trial_id,
        kind=line.kind,
        status=line.status,
        score=line.score if rank else None,
        low=line.low,
        high=line.high,
        tied=line.tied and line.kind == "trial" and not winner,
        winner=winner,
        head=head_words(trial),
        optimizer=str(training.get("optimizer", "")),
        learning_rate=training.get("learning_rate"),
        batch_size=training.get("batch_size"),
        parameters=line.parameters,
        epochs=ran,
        best_epoch=trial.best_epoch,
        stopped=line.status == "completed" and 0 < ran < (training.get("epochs") or budget or 0),
        seconds=line.seconds if rank else None,
        note=line.reason or (f"running, epoch {ran}" if line.status == "running" else ""),
        values=trial.values,
        head_spec=line.head or {},
        training_spec=training,
        curve=curve(trial.epochs),
        seeds=line.repeats,
        single=line.single if rank else None,
    )


def curve(epochs: Iterable[Epoch | EpochResult]) -> tuple[tuple[int, float], ...]:
    """(epoch, validation top-1) of the epochs that measured it."""
    return tuple((item.epoch, item.val_top1) for item in epochs if item.val_top1 is not None)


def head_words(trial: Trial) -> str:
    """The head in one line, such as `480 relu, dropout 0.2 -> classes`; values for a probe."""
    if trial.kind == "probe":
        return ", ".join(f"{name} {short(value)}" for name, value in trial.values.items())
    spec = trial.head or HeadSpec()
    words = spec.describe() if spec.layers else "linear"
    return words.removesuffix(" -> classes").replace(" -> ", " → ")


def short(value: Any) -> str:
    """A hyperparameter's value in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def number_text(value: float) -> str:
    """A number as a person writes it: `1024`, `0.5`, `1e-6`."""
    return str(value) if isinstance(value, int) else f"{value:g}".replace("e-0", "e-")


def choice_text(value: Any) -> str:
    """A choice as a label; numbers that are equal have the same."""
    return number_text(value) if _is_number(value) else str(value)


def hyperparameters(
    trials: Iterable[Trial], space: Json, winner: Trial | None = None
) -> list[Hyperparameter]:
    """The hyperparameters whose value differs between completed trials.

    Args:
        trials: Completed or not.
        space: As the study keeps it.
        winner: Whose values may lie at an edge; by default the best score.
    """
    done = [trial for trial in trials if trial.status == "completed" and trial.score is not None]
    names = list(dict.fromkeys(name for trial in done for name in trial.values))
    best = winner or max(done, key=lambda trial: trial.score or 0.0, default=None)
    found = []
    for name in names:
        values = {t.trial_id: t.values[name] for t in done if t.values.get(name) is not None}
        if len(set(map(str, values.values()))) > 1:
            won = best.values.get(name) if best else None
            found.append(_hyperparameter(name, values, _declared(space, name), won))
    return found


def _declared(space: Json, name: str) -> Json:
    """What the space says of a hyperparameter; empty where it says nothing."""
    said = space.get("hyperparameters", {}).get(name)
    return said if isinstance(said, dict) else {}


def _hyperparameter(name: str, values: Json, said: Json, won: Any) -> Hyperparameter:
    if said.get("values") or not all(map(_is_number, values.values())):
        return _choice(name, values, said.get("values") or [], won)
    low = float(min([*values.values(), *_bound(said, "min")]))
    high = float(max([*values.values(), *_bound(said, "max")]))
    log = bool(said.get("log")) and low > 0
    edge = "" if won is None else _edge(_place(float(won), low, high, log), low)
    integer = all(isinstance(value, int) for value in values.values())
    return Hyperparameter(name, "number", log, low, high, (), values, edge, integer)


def _choice(name: str, values: Json, declared: list[Any], won: Any) -> Hyperparameter:
    """A choice: evenly spaced, with an edge only where the choices are rising numbers."""
    shown = {trial: choice_text(value) for trial, value in values.items()}
    options = tuple(dict.fromkeys([*map(choice_text, declared), *sorted(shown.values())]))
    edge = ""
    if all(map(_is_number, [*declared, *values.values()])) and declared == sorted(declared):
        place = None if won is None else options.index(choice_text(won)) / (len(options) - 1)
        edge = "" if place is None else _edge(place, declared[0])
    return Hyperparameter(name, "choice", False, None, None, options, shown, edge)


def _bound(said: Json, name: str) -> list[float]:
    return [float(said[name])] if _is_number(said.get(name)) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _edge(place: float, low: float) -> str:
    """Which end of its range a place in [0, 1] lies at, if any; 0 is the end of them all."""
    if place <= EDGE:
        return "limit" if low == 0 else "low"
    return "high" if place >= 1 - EDGE else ""


def _place(value: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
