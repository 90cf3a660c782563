"""The search as plain numbers: every trial, the best so far, and how each one learned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cars_bench.errors import UsageError
from cars_bench.reports.sources import Epoch, Json, Sources, epochs_of
from cars_bench.reports.verdict import probe_name
from cars_bench.training.specs import HeadSpec, from_json
from cars_bench.tuning import leaderboard
from cars_bench.tuning.ledger import TrialRecord

EDGE = 0.05
"""Share of a (log) range that counts as its end."""


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard.

    Attributes:
        rank: 1 for the best; 0 for what has not completed.
        tied: Its interval contains the best score, so the two cannot be told apart.
        stopped: It ended before its budget of epochs.
        note: Why it failed, or how far it is.
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


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter that varied: its values by trial and where the best one lies.

    Attributes:
        kind: `number` or `choice`.
        log: The space draws it on a log scale.
        low, high: Its range in the space, or as seen; `None` for a choice.
        options: The choices in order; empty for a number.
        edge: `low` or `high` where the best trial lies at the end of the range, else empty.
    """

    name: str
    kind: str
    log: bool
    low: float | None
    high: float | None
    options: tuple[str, ...]
    values: dict[str, Any]
    edge: str = ""


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
        return sum(row.tied for row in self.rows if row.kind == "trial")


def search_facts(sources: Sources) -> SearchFacts | None:
    """Gather the search; `None` where no study exists."""
    if sources.study is None:
        return None
    budget = sources.study.get("budget", {})
    trials = [trial for trial in sources.trials if trial.kind == "trial"]
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
        hyperparameters=tuple(hyperparameters(trials, sources.study.get("space") or {})),
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


def _row(
    rank: int, line: leaderboard.Row, trial: TrialRecord, winner: bool, budget: int | None
) -> Row:
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
        curve=curve(epochs_of(trial.epochs)),
    )


def curve(epochs: Iterable[Epoch]) -> tuple[tuple[int, float], ...]:
    """(epoch, validation top-1) of the epochs that measured it."""
    return tuple((item.epoch, item.val_top1) for item in epochs if item.val_top1 is not None)


def head_words(trial: TrialRecord) -> str:
    """The head in one line, such as `480 relu, dropout 0.2 -> classes`; values for a probe."""
    if trial.kind == "probe":
        return ", ".join(f"{name} {short(value)}" for name, value in trial.values.items())
    try:
        spec = from_json(HeadSpec, trial.head or {})
    except UsageError:
        return ", ".join(f"{name} {short(value)}" for name, value in (trial.head or {}).items())
    words = spec.describe() if spec.layers else "linear"
    return words.removesuffix(" -> classes").replace(" -> ", " → ")


def short(value: Any) -> str:
    """A hyperparameter's value in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def hyperparameters(trials: Iterable[TrialRecord], space: Json) -> list[Hyperparameter]:
    """The hyperparameters whose value differs between completed trials."""
    done = [trial for trial in trials if trial.status == "completed" and trial.score is not None]
    names = list(dict.fromkeys(name for trial in done for name in trial.values))
    best = max(done, key=lambda trial: trial.score or 0.0, default=None)
    found = []
    for name in names:
        values = {t.trial_id: t.values[name] for t in done if t.values.get(name) is not None}
        if len(set(map(str, values.values()))) > 1:
            found.append(_hyperparameter(name, values, _declared(space, name), best))
    return found


def _declared(space: Json, name: str) -> Json:
    """What the space says of a hyperparameter; empty where it says nothing."""
    said = space.get("hyperparameters", {}).get(name)
    return said if isinstance(said, dict) else {}


def _hyperparameter(
    name: str, values: Json, said: Json, best: TrialRecord | None
) -> Hyperparameter:
    numbers = [value for value in values.values() if _is_number(value)]
    if len(numbers) < len(values):
        options = said.get("values") or sorted(map(str, values.values()))
        texts = tuple(dict.fromkeys(map(str, options)))
        shown = {trial: str(value) for trial, value in values.items()}
        return Hyperparameter(name, "choice", False, None, None, texts, shown)
    choices = [value for value in said.get("values") or [] if _is_number(value)]
    low = float(min([*numbers, *choices, *_bound(said, "min")]))
    high = float(max([*numbers, *choices, *_bound(said, "max")]))
    log = bool(said.get("log"))
    edge = _edge(values.get(best.trial_id) if best else None, low, high, log)
    return Hyperparameter(name, "number", log and low > 0, low, high, (), values, edge)


def _bound(said: Json, name: str) -> list[float]:
    return [float(said[name])] if _is_number(said.get(name)) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _edge(value: Any, low: float, high: float, log: bool) -> str:
    """Which end of its range a value lies at, if any."""
    if value is None or high <= low:
        return ""
    place = _place(float(value), low, high, log)
    if place <= EDGE:
        return "low"
    return "high" if place >= 1 - EDGE else ""


def _place(value: float, low: float, high: float, log: bool) -> float:
    if log and low > 0:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
