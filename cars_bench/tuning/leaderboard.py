"""The leaderboard: trials and probes, best validation top-1 first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cars_bench.errors import NoTrialCompleted
from cars_bench.training.specs import HeadSpec, from_json
from cars_bench.tuning.ledger import TrialRecord
from cars_bench.tuning.study import Study


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard; the keys that scripts read from `trials --json`.

    Attributes:
        trial_id: Unique; probes are `probe-NAME`.
        kind: `trial` or `probe`.
        status: `completed`, `failed` or `running`.
        score: Validation top-1, `None` unless completed.
        low: Lower end of its 95% interval (Wilson 1927).
        high: Upper end.
        tied: Its interval contains the best score.
        seconds: Wall time.
        epochs: Epochs trained.
        parameters: Of the head.
        head: The head's spec.
        training: The training's spec.
        reason: Why it failed.
    """

    trial_id: str
    kind: str
    status: str
    score: float | None
    low: float | None
    high: float | None
    tied: bool
    seconds: float
    epochs: int
    parameters: int | None
    head: dict[str, Any] | None
    training: dict[str, Any] | None
    reason: str

    @property
    def description(self) -> str:
        """The head (or probe) in a few words."""
        if self.head is None:
            return self.trial_id.removeprefix("probe-")
        return from_json(HeadSpec, self.head).describe()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def leaderboard(study: Study) -> list[Row]:
    """All rows: completed ones by score, then running, then failed ones."""
    records = sorted(study.trials(), key=_rank)
    top = records[0].score if records else None
    return [_row(record, top) for record in records]


def best_trial(study: Study) -> TrialRecord:
    """The completed trial with the highest validation top-1; the smaller head among equals.

    Raises:
        NoTrialCompleted: There is none.
    """
    done = [item for item in study.trials() if item.kind == "trial" and item.status == "completed"]
    if not done:
        raise NoTrialCompleted(
            f"No trial of study {study.name!r} completed.", "cars-bench trials shows why"
        )
    return min(done, key=_rank)


def _rank(record: TrialRecord) -> tuple[int, float, int, int]:
    order = {"completed": 0, "running": 1, "failed": 2}[record.status]
    return order, -(record.score or 0.0), record.parameters or 0, record.number


def _row(record: TrialRecord, top: float | None) -> Row:
    done = record.status == "completed" and top is not None and record.high is not None
    return Row(
        record.trial_id,
        record.kind,
        record.status,
        record.score,
        record.low,
        record.high,
        bool(done and (record.high or 0.0) >= (top or 0.0)),
        round(record.seconds, 3),
        len(record.epochs),
        record.parameters,
        record.head,
        record.training,
        record.reason,
    )
