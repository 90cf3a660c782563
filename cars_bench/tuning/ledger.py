"""The ledger: one append-only, fsynced JSON line for everything a search did.

The ledger is the truth of a study.  A line that a crash cut short is the last
one and is dropped; anything else that does not parse stops the reader.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from cars_bench.documents import from_json, to_json
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.training.checkpoint import EpochResult
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.ranking import unpack
from cars_bench.workspace import BINARY

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """What a trial came to; one without a score failed.

    Attributes:
        score: Best validation top-1.
        low: Lower end of its 95% interval.
        high: Upper end.
        best_epoch: From 1; `None` for probes.
        parameters: Of the head; `None` for probes.
        seconds: Wall time of the whole trial.
        reason: Why it failed.
        correct: Which validation images it gets right, as `ranking.pack` writes it.
    """

    score: float | None = None
    low: float | None = None
    high: float | None = None
    best_epoch: int | None = None
    parameters: int | None = None
    seconds: float = 0.0
    reason: str = ""
    correct: str = ""

    def __post_init__(self) -> None:
        if self.correct:
            unpack(self.correct)


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A trial trained again with another seed; one without a score failed.

    Attributes:
        repeat: Which one, from 1.
        seed: Its seed.
        score: Best validation top-1.
        best_epoch: From 1.
        seconds: Wall time.
        correct: Which validation images it gets right, as `ranking.pack` writes it.
        reason: Why it failed.
    """

    repeat: int
    seed: int
    score: float | None = None
    best_epoch: int | None = None
    seconds: float = 0.0
    correct: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.correct:
            unpack(self.correct)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the ledger knows of one trial.

    Attributes:
        trial_id: Unique in the study; probes are `probe-NAME`.
        number: Order in which the oracle proposed it, from 0; -1 for probes.
        values: Hyperparameters as proposed.
        head: The head; `None` for probes.
        training: Its training; `None` for probes.
        kind: Whether it was searched or is a probe.
        status: Whether it has an end, and which.
        epochs: Finished epochs.
        score: Best validation top-1; `None` until completed.
        low: Lower end of its 95% interval.
        high: Upper end.
        best_epoch: From 1.
        parameters: Of the head.
        seconds: Wall time of the whole trial.
        reason: Why it failed.
        correct: Which validation images it gets right, as `ranking.pack` writes it.
        repeats: Its trainings again with other seeds.
    """

    trial_id: str
    number: int = -1
    values: dict[str, Any]
    head: HeadSpec | None = None
    training: TrainingSpec | None = None
    kind: Literal["trial", "probe"] = "trial"
    status: Literal["running", "completed", "failed"] = "running"
    epochs: tuple[EpochResult, ...] = ()
    score: float | None = None
    low: float | None = None
    high: float | None = None
    best_epoch: int | None = None
    parameters: int | None = None
    seconds: float = 0.0
    reason: str = ""
    correct: str = ""
    repeats: tuple[Repeat, ...] = ()

    def ended(self, outcome: TrialOutcome) -> Trial:
        """The trial with its end: failed where the outcome has no score."""
        status: Literal["completed", "failed"] = "failed" if outcome.score is None else "completed"
        return replace(self, status=status, **vars(outcome))


class Ledger:
    """Append-only writer of a study's ledger.

    Opening drops a last line that a crash cut short, so that the next one
    starts on a line of its own.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o666)
        whole = _whole_lines(path.read_bytes())
        os.ftruncate(self._descriptor, len(whole))

    def proposed(self, trial: Trial) -> None:
        """A trial or a probe is about to be run."""
        if trial.kind == "probe":
            self._append("proposed", trial.trial_id, kind=trial.kind, values=trial.values)
            return
        self._append(
            "proposed",
            trial.trial_id,
            number=trial.number,
            values=trial.values,
            head=trial.head and to_json(trial.head),
            training=trial.training and to_json(trial.training),
        )

    def started(self, trial_id: str, after: int) -> None:
        """Its training begins after so many finished epochs; later ones are run again."""
        self._append("started", trial_id, after=after)

    def epoch(self, trial_id: str, row: EpochResult) -> None:
        """One epoch has ended."""
        self._append("epoch", trial_id, **asdict(row))

    def repeat(self, trial_id: str, repeat: Repeat) -> None:
        """A training again with another seed has ended."""
        found: Event = {"seconds": repeat.seconds, "reason": repeat.reason}
        if repeat.score is not None:
            found = {
                "score": repeat.score,
                "best_epoch": repeat.best_epoch,
                "seconds": repeat.seconds,
                "correct": repeat.correct,
            }
        self._append("repeat", trial_id, repeat=repeat.repeat, seed=repeat.seed, **found)

    def ended(self, trial: Trial) -> None:
        """A trial or a probe has completed or failed."""
        if trial.status == "failed":
            self._append("failed", trial.trial_id, reason=trial.reason, seconds=trial.seconds)
            return
        names = ("score", "low", "high", "best_epoch", "parameters", "seconds", "correct")
        found = {name: getattr(trial, name) for name in names}
        kept = {name: value for name, value in found.items() if value not in (None, "")}
        kind = {"kind": trial.kind} if trial.kind == "probe" else {}
        self._append(trial.status, trial.trial_id, **kind, **kept)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def _append(self, event: str, trial_id: str, **details: Any) -> None:
        """Write one event; it is on the disk when this returns."""
        line = {"event": event, "trial_id": trial_id, "time": round(time.time(), 3)} | details
        os.write(self._descriptor, (json.dumps(line, allow_nan=False) + "\n").encode())
        os.fsync(self._descriptor)


def read_trials(path: Path) -> tuple[Trial, ...]:
    """The trials of a ledger in the order in which they were proposed; none without a ledger.

    Raises:
        CarsBenchError: A line before the last is not an event.
    """
    trials: dict[str, Trial] = {}
    for number, event in _numbered(path):
        try:
            trial = _with_event(trials, event)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise _damaged(number, path) from error
        trials[trial.trial_id] = trial
    return tuple(trials.values())


def read_events(path: Path) -> list[Event]:
    """The lines of a ledger as they stand, oldest first; for times, which trials do not keep.

    Raises:
        CarsBenchError: A line before the last is not a JSON object.
    """
    return [event for _, event in _numbered(path)]


def busy_seconds(path: Path) -> float:
    """Wall time during which anything was trained; trainings side by side count once.

    Every event that tells its `seconds` covers the time just before it; the answer
    is the length of what they cover together, so pauses between two sittings are
    left out.
    """
    spans = [(event["time"] - event["seconds"], event["time"]) for event in read_events(path)
             if event.get("seconds")]  # fmt: skip
    total = 0.0
    reached = -math.inf
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, reached))
        reached = max(reached, ended)
    return total


def _with_event(trials: dict[str, Trial], event: Event) -> Trial:
    """The trial that an event speaks of, with the event taken into account.

    Epochs that a restarted trial runs again are forgotten.

    Raises:
        KeyError, TypeError, ValueError, UsageError: It is no event of these trials.
    """
    name = event["event"]
    if name == "proposed":
        return from_json(Trial, event, partly=True)
    trial = trials[event["trial_id"]]
    if name == "started":
        kept = tuple(row for row in trial.epochs if row.epoch <= event["after"])
        return replace(trial, epochs=kept)
    if name == "epoch":
        row = from_json(EpochResult, event, partly=True)
        return replace(trial, epochs=(*trial.epochs, row))
    if name == "repeat":
        return replace(trial, repeats=(*trial.repeats, from_json(Repeat, event, partly=True)))
    ended = trial.ended(from_json(TrialOutcome, event, partly=True))
    if name != ended.status:
        raise ValueError(name)
    return ended


def _numbered(path: Path) -> Iterator[tuple[int, Event]]:
    """Whole lines with their numbers, from 1."""
    try:
        text = _whole_lines(path.read_bytes())
    except FileNotFoundError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield number, dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise _damaged(number, path) from error


def _damaged(number: int, path: Path) -> CarsBenchError:
    return CarsBenchError(
        f"Line {number} of {path} is damaged.",
        "restore the file from a backup, or start another --study",
    )


def _whole_lines(data: bytes) -> bytes:
    """Everything up to the last line break, without a torn tail."""
    return data[: data.rfind(b"\n") + 1]
