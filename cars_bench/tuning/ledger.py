"""The ledger: one append-only, fsynced JSON line for everything a search did.

The ledger is the truth of a study.  `lines.py` says how it is kept and what is noticed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from cars_bench.documents import at_least, from_json, to_json, within
from cars_bench.errors import UsageError
from cars_bench.lines import Event, Lines, damaged_line, read_lines
from cars_bench.training.checkpoint import EpochResult
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.ranking import unpack
from cars_bench.workspace import NAME

PROPOSED = ("trial_id", "number", "values", "head", "training", "kind")
"""Fields of a trial that are known before it is run."""
RESTORE = "restore the file from a backup, or start another --study"


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
        val_iou: Mean IoU of its boxes on the validation images; `None` where it tells none.
    """

    score: float | None = None
    low: float | None = None
    high: float | None = None
    best_epoch: int | None = None
    parameters: int | None = None
    seconds: float = 0.0
    reason: str = ""
    correct: str = ""
    val_iou: float | None = None

    def __post_init__(self) -> None:
        for name in ("score", "low", "high", "val_iou"):
            _require_share(name, getattr(self, name))
        if None not in (self.score, self.low, self.high):
            within("score", self.score or 0.0, self.low or 0.0, self.high or 0.0)
        at_least("best_epoch", self.best_epoch or 1, 1)
        at_least("parameters", self.parameters or 0, 0)
        at_least("seconds", self.seconds, 0)
        _require_answers(self.score, self.correct)


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
        at_least("repeat", self.repeat, 1)
        _require_share("score", self.score)
        at_least("seconds", self.seconds, 0)
        _require_answers(self.score, self.correct)


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
        repeats: Its trainings again with other seeds, each once, in their order.
        val_iou: Mean IoU of its boxes on the validation images; `None` where it tells none.
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
    val_iou: float | None = None

    def ended(self, outcome: TrialOutcome) -> Trial:
        """The trial with its end: failed where the outcome has no score."""
        status: Literal["completed", "failed"] = "failed" if outcome.score is None else "completed"
        return replace(self, status=status, **vars(outcome))

    def again(self, repeat: Repeat) -> Trial:
        """The trial with a repeat, whenever that ended; of two of one number the worse stays."""
        ranked = sorted([*self.repeats, repeat], key=lambda item: (item.score or 0.0, str(item)))
        kept = {item.repeat: item for item in reversed(ranked)}
        return replace(self, repeats=tuple(kept[number] for number in sorted(kept)))


class Ledger(Lines):
    """Append-only writer of a study's ledger."""

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
        told = asdict(row)
        if row.val_iou is None:  # of heads without a box, which are most
            del told["val_iou"]
        self._append("epoch", trial_id, **told)

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
        names = tuple(item.name for item in fields(TrialOutcome) if item.name != "reason")
        found = {name: getattr(trial, name) for name in names}
        kept = {name: value for name, value in found.items() if value not in (None, "")}
        kind = {"kind": trial.kind} if trial.kind == "probe" else {}
        self._append(trial.status, trial.trial_id, **kind, **kept)

    def _append(self, event: str, trial_id: str, **details: Any) -> None:
        """Write one event; it is on the disk when this returns."""
        told = {"event": event, "trial_id": trial_id, "time": round(time.time(), 3)}
        self.append(told | details)


def read_trials(path: Path) -> tuple[Trial, ...]:
    """The trials of a ledger in the order in which they were proposed; none without a ledger.

    Raises:
        RecordDamaged: A line before the last is not an event, or was changed since.
    """
    trials: dict[str, Trial] = {}
    sizes: set[int] = set()
    for number, event in read_lines(path, RESTORE):
        try:
            trial = _with_event(trials, event)
            answers = (trial.correct, *(item.correct for item in trial.repeats))
            sizes |= {len(unpack(text)) for text in answers if text}
            if len(sizes) > 1:
                raise ValueError(sizes)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise damaged_line(number, path, RESTORE) from error
        trials[trial.trial_id] = trial
    return tuple(trials.values())


def read_events(path: Path) -> list[Event]:
    """The lines of a ledger as they stand, oldest first; for times, which trials do not keep.

    Raises:
        RecordDamaged: A line before the last is not a JSON object, or was changed since.
    """
    return [event for _, event in read_lines(path, RESTORE)]


def end_times(path: Path) -> dict[str, float]:
    """When each trial or probe completed or failed, in seconds since 1970, the earliest first.

    Raises:
        RecordDamaged: As `read_events`, or a time is none.
    """
    found = {}
    for number, event in read_lines(path, RESTORE):
        if event.get("event") in ("completed", "failed"):
            try:
                found[str(event["trial_id"])] = from_json(_Span, event, partly=True).time
            except (KeyError, UsageError) as error:
                raise damaged_line(number, path, RESTORE) from error
    return found


@dataclass(frozen=True)
class _Start:
    """After how many finished epochs a training begins."""

    after: int


@dataclass(frozen=True)
class _Span:
    """When something ended, in seconds since 1970, and how long it took."""

    time: float
    seconds: float = 0.0


def busy_seconds(path: Path) -> float:
    """Wall time during which anything was trained; trainings side by side count once.

    Every event that tells its `seconds` covers the time just before it; the answer
    is the length of what they cover together, so pauses between two sittings are
    left out.

    Raises:
        RecordDamaged: As `read_events`, or a time is none.
    """
    total = 0.0
    reached = -math.inf
    for begun, ended in sorted(_spans(path)):
        total += max(0.0, ended - max(begun, reached))
        reached = max(reached, ended)
    return total


def _spans(path: Path) -> Iterator[tuple[float, float]]:
    for number, event in read_lines(path, RESTORE):
        try:
            span = from_json(_Span, event, partly=True)
        except UsageError as error:
            raise damaged_line(number, path, RESTORE) from error
        yield span.time - span.seconds, span.time


def _with_event(trials: dict[str, Trial], event: Event) -> Trial:
    """The trial that an event speaks of, with the event taken into account.

    Epochs that a restarted trial runs again are forgotten.

    Raises:
        KeyError, TypeError, ValueError, UsageError: It is no event of these trials.
    """
    name = event["event"]
    trial = trials.get(event["trial_id"])
    if name == "proposed" and (trial is None or trial.status == "running"):
        if not NAME.fullmatch(event["trial_id"]):  # its checkpoint is called so
            raise ValueError(name)
        return from_json(Trial, {key: event[key] for key in PROPOSED if key in event})
    if trial is None or trial.status != ("completed" if name == "repeat" else "running"):
        raise ValueError(name)
    if name == "started":
        after = from_json(_Start, event, partly=True).after
        return replace(trial, epochs=tuple(row for row in trial.epochs if row.epoch <= after))
    if name == "epoch":
        row = from_json(EpochResult, event, partly=True)
        return replace(trial, epochs=(*trial.epochs, row))
    if name == "repeat":
        return trial.again(from_json(Repeat, event, partly=True))
    ended = trial.ended(from_json(TrialOutcome, event, partly=True))
    if name != ended.status:
        raise ValueError(name)
    return ended


def _require_share(name: str, value: float | None) -> None:
    if value is not None:
        within(name, value, 0, 1)


def _require_answers(score: float | None, correct: str) -> None:
    """Refuse a score that is not the share of the right answers beside it."""
    if correct and (score is None or not math.isclose(score, unpack(correct).mean(), abs_tol=1e-6)):
        raise UsageError(f"score must be the share of its right answers, got {score!r}.")
