"""The ledger: one append-only, fsynced JSON line for everything a search did.

The ledger is the truth of a study.  A line that a crash cut short is the last
one and is dropped; anything else that does not parse stops the reader.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cars_bench.errors import CarsBenchError

Event = dict[str, Any]

OUTCOME = {
    "score", "low", "high", "best_epoch", "parameters", "seconds", "reason", "correct"
}  # fmt: skip


@dataclass
class Trial:
    """What the ledger knows of one trial.

    Attributes:
        trial_id: Unique in the study; probes are `probe-NAME`.
        number: Order in which the oracle proposed it, from 0; -1 for probes.
        values: Hyperparameters as proposed.
        head: The head's spec as JSON.
        training: The training's spec as JSON.
        kind: `trial` or `probe`.
        status: `running`, `completed` or `failed`.
        epochs: Finished epochs, one ledger event each.
        score: Best validation top-1; `None` until completed.
        low: Lower end of its 95% interval.
        high: Upper end.
        best_epoch: From 1.
        parameters: Of the head.
        seconds: Wall time of the whole trial.
        reason: Why it failed.
        correct: Which validation images it gets right, as `ranking.pack` writes it.
        repeats: One ledger event for each training again with another seed.
    """

    trial_id: str
    number: int
    values: dict[str, Any]
    head: dict[str, Any] | None
    training: dict[str, Any] | None
    kind: str = "trial"
    status: str = "running"
    epochs: list[Event] = field(default_factory=list)
    score: float | None = None
    low: float | None = None
    high: float | None = None
    best_epoch: int | None = None
    parameters: int | None = None
    seconds: float = 0.0
    reason: str = ""
    correct: str = ""
    repeats: list[Event] = field(default_factory=list)


class Ledger:
    """Append-only writer of a study's ledger.

    Opening drops a last line that a crash cut short, so that the next one
    starts on a line of its own.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        whole = _whole_lines(path.read_bytes())
        os.ftruncate(self._descriptor, len(whole))

    def append(self, event: str, trial_id: str, **details: Any) -> None:
        """Write one event; it is on the disk when this returns."""
        line = {"event": event, "trial_id": trial_id, "time": round(time.time(), 3)} | details
        os.write(self._descriptor, (json.dumps(line, allow_nan=False) + "\n").encode())
        os.fsync(self._descriptor)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


def read_events(path: Path) -> list[Event]:
    """All whole events of a ledger, oldest first; none if there is no ledger.

    Raises:
        CarsBenchError: A line before the last is not a JSON object.
    """
    try:
        text = _whole_lines(path.read_bytes())
    except FileNotFoundError:
        return []
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            events.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise CarsBenchError(
                f"Line {number} of {path} is damaged.",
                "restore the file from a backup, or start another --study",
            ) from error
    return events


def read_trials(path: Path) -> list[Trial]:
    """The trials of a ledger in the order in which they were proposed."""
    trials: dict[str, Trial] = {}
    for event in read_events(path):
        apply_event(trials, event)
    return list(trials.values())


def busy_seconds(events: list[Event]) -> float:
    """Wall time during which anything was trained; trainings side by side count once.

    Every event that tells its `seconds` covers the time just before it; the answer
    is the length of what they cover together, so pauses between two sittings are
    left out.
    """
    spans = [(event["time"] - event["seconds"], event["time"]) for event in events
             if event.get("seconds")]  # fmt: skip
    total, reached = 0.0, -math.inf
    for begun, ended in sorted(spans):
        total += max(0.0, ended - max(begun, reached))
        reached = max(reached, ended)
    return total


def apply_event(trials: dict[str, Trial], event: Event) -> None:
    """Take one event into account; epochs that a restarted trial runs again are forgotten."""
    name, trial_id = event["event"], event["trial_id"]
    if name == "proposed":
        trials[trial_id] = Trial(
            trial_id,
            event.get("number", -1),
            event["values"],
            event.get("head"),
            event.get("training"),
            event.get("kind", "trial"),
        )
        return
    trial = trials[trial_id]
    if name == "started":
        trial.epochs = [item for item in trial.epochs if item["epoch"] <= event.get("after", 0)]
    elif name == "epoch":
        trial.epochs.append(event)
    elif name == "repeat":
        trial.repeats.append(event)
    elif name in ("completed", "failed"):
        trial.status = name
        for key in OUTCOME & event.keys():
            setattr(trial, key, event[key])


def _whole_lines(data: bytes) -> bytes:
    """Everything up to the last line break, without a torn tail."""
    return data[: data.rfind(b"\n") + 1]
