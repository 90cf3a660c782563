"""The leaderboard: trials and probes, best validation top-1 first, and who wins.

Heads that were trained again with new seeds are ranked by the mean of those
trainings, before the others: the score that a head was picked for is the one
score that cannot be trusted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cars_bench.documents import from_json, to_json
from cars_bench.errors import NoTrialCompleted
from cars_bench.evaluation.metrics import Estimate
from cars_bench.training.specs import HeadSpec
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.ranking import (
    Bools,
    Floats,
    expected_drop,
    interval,
    resampled_means,
    told_apart,
    unpack,
)
from cars_bench.tuning.study import Study

CANDIDATES = 5


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard; the keys that scripts read from `trials --json`.

    Attributes:
        trial_id: Unique; probes are `probe-NAME`.
        kind: `trial` or `probe`.
        status: `completed`, `failed` or `running`.
        score: Validation top-1, `None` unless completed; with repeats their mean.
        low: Lower end of its 95% interval: Wilson's (1927), with repeats the
            bootstrap's over validation images and seeds.
        high: Upper end.
        tied: Paired bootstrap cannot tell it from the first row.
        seconds: Wall time.
        epochs: Epochs trained.
        parameters: Of the head.
        head: The head's spec.
        training: The training's spec.
        reason: Why it failed.
        repeats: Trainings with new seeds that `score` is the mean of; 0 is none.
        single: Score of the trial itself, which it was picked for.
        beats_probes: Better than every probe; `None` for a probe, or without probes.
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
    repeats: int = 0
    single: float | None = None
    beats_probes: bool | None = None

    @property
    def description(self) -> str:
        """The head (or probe) in a few words."""
        if self.head is None:
            return self.trial_id.removeprefix("probe-")
        return from_json(HeadSpec, self.head).describe()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class WinnersCurse:
    """How far the best of many is expected to fall, and how far it fell.

    Attributes:
        trial_id: The winner.
        candidates: Completed trials that it was chosen from.
        score: Its validation top-1.
        expected_drop: Of the best score on new images, from the bootstrap.
        observed_drop: Validation top-1 less test top-1 of the frozen head;
            `None` until `finetune` has read the test split.
    """

    trial_id: str
    candidates: int
    score: float
    expected_drop: float
    observed_drop: float | None


def leaderboard(study: Study) -> tuple[Row, ...]:
    """All rows: completed ones by score, repeated ones first, then running, then failed ones."""
    everything = study.trials()
    records = [
        item
        for status in ("completed", "running", "failed")
        for item in _ordered([item for item in everything if item.status == status])
    ]
    means = _means(records)
    best_probe = max(
        (_shown(item) or 0.0 for item in records if item.kind == "probe"), default=None
    )
    first = records[0] if records and records[0].status == "completed" else None
    return tuple(_row(record, first, means, best_probe) for record in records)


def best_trial(study: Study) -> Trial:
    """The winner: the smallest head that cannot be told from the best trial.

    Only the best few are compared: those that were repeated, where any were.

    Raises:
        NoTrialCompleted: No trial completed.
    """
    chosen = candidates(study)
    if not chosen:
        raise NoTrialCompleted(
            f"No trial of study {study.name!r} completed.", "cars-bench trials shows why"
        )
    means = _means(chosen)
    tied = [item for item in chosen if item is chosen[0] or _tied(item, chosen[0], means)]
    return min(tied, key=lambda item: (item.parameters or 0, *_rank(item)))


def candidates(study: Study, repeated: bool = True) -> list[Trial]:
    """The few best completed trials, the best first.

    Args:
        study: The study.
        repeated: Rank by the repeats where there are any; else by the trials alone.
    """
    done = best_first(study)
    if not repeated:
        return sorted(done, key=lambda item: (-(item.score or 0.0), item.number))[:CANDIDATES]
    again = [item for item in done if item.repeats]
    return (again or done)[:CANDIDATES]


def best_first(study: Study) -> list[Trial]:
    """The completed trials in the leaderboard's order."""
    done = [item for item in study.trials() if item.kind == "trial" and item.status == "completed"]
    return _ordered(done)


def winners_curse(study: Study) -> WinnersCurse | None:
    """What the winner's score is expected to lose; `None` where the ledger cannot say."""
    done = [item for item in study.trials() if item.kind == "trial" and item.correct]
    if not done:
        return None
    winner = best_trial(study)
    drop = expected_drop([unpack(item.correct)[None] for item in done])
    score = winner.score or 0.0
    test = _test_top1(study, winner.trial_id)
    observed = None if test is None else score - test
    return WinnersCurse(winner.trial_id, len(done), score, drop, observed)


def differences(records: list[Trial], reference: Trial) -> dict[str, Estimate]:
    """By how much each record's score differs from another's, with 95% intervals.

    From the same paired resamples that say which rows are tied, for all records whose
    answers the ledger holds; none where it does not hold the reference's.

    Args:
        records: Completed ones in the leaderboard's order, the reference among them.
        reference: What the others are compared with.
    """
    means, own = _means(records), _shown(reference) or 0.0
    if reference.trial_id not in means:
        return {}
    return {
        item.trial_id: interval(
            means[item.trial_id] - means[reference.trial_id], (_shown(item) or 0.0) - own
        )
        for item in records
        if item.trial_id in means
    }


def _test_top1(study: Study, trial_id: str) -> float | None:
    """Frozen test top-1 of a trial's head, from the last run that finished it."""
    paths = (study.folder / "final").glob("*/run.json")
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    tests = [run["frozen"].get("test") for run in runs if run["trial_id"] == trial_id]
    found = [float(test["top1"]["value"]) for test in tests if test]
    return found[-1] if found else None


def _shown(record: Trial) -> float | None:
    """The score that a row shows: with repeats their mean, a failed one counted as zero."""
    if record.status != "completed" or not record.repeats:
        return record.score
    return float(np.mean([item.score or 0.0 for item in record.repeats]))


def _ordered(records: list[Trial]) -> list[Trial]:
    """In the leaderboard's order; once some trials were repeated they come before the others."""
    repeated = any(item.repeats for item in records)
    return sorted(
        records,
        key=lambda item: (repeated and item.kind == "trial" and not item.repeats, *_rank(item)),
    )


def _rank(record: Trial) -> tuple[float, int, int]:
    return -(_shown(record) or 0.0), record.parameters or 0, record.number


def _means(records: list[Trial]) -> dict[str, Floats]:
    """Resampled accuracies `[RESAMPLES]` of every record whose answers the ledger holds."""
    answers = {item.trial_id: _answers(item) for item in records if item.correct}
    if not answers:
        return {}
    means = resampled_means(list(answers.values()))
    return {trial_id: means[:, column] for column, trial_id in enumerate(answers)}


def _answers(record: Trial) -> Bools:
    """Bool `[S, N]` of the trainings that a row stands on."""
    own = unpack(record.correct)
    wrong = np.zeros_like(own)
    again = [unpack(item.correct) if item.correct else wrong for item in record.repeats]
    return np.stack(again or [own])


def _tied(record: Trial, first: Trial, means: dict[str, Floats]) -> bool:
    """Whether a completed row cannot be told from the first one."""
    if record.trial_id in means and first.trial_id in means:
        return not told_apart(means[record.trial_id], means[first.trial_id])
    # Without its answers there are only the intervals to go by.
    return record.high is not None and record.high >= (_shown(first) or 0.0)


def _row(
    record: Trial,
    first: Trial | None,
    means: dict[str, Floats],
    best_probe: float | None,
) -> Row:
    score, low, high = _shown(record), record.low, record.high
    done = record.status == "completed"
    if done and record.repeats and record.trial_id in means:
        estimate = interval(means[record.trial_id], score or 0.0)
        low, high = estimate.low, estimate.high
    compared = done and record.kind == "trial" and best_probe is not None
    return Row(
        record.trial_id,
        record.kind,
        record.status,
        score,
        low,
        high,
        bool(done and first is not None and _tied(record, first, means)),
        round(record.seconds, 3),
        len(record.epochs),
        record.parameters,
        to_json(record.head) if record.head else None,
        to_json(record.training) if record.training else None,
        record.reason,
        len(record.repeats),
        record.score,
        (score or 0.0) > (best_probe or 0.0) if compared else None,
    )
