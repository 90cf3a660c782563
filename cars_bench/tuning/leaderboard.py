"""The leaderboard: trials and probes, best validation top-1 first, and who wins.

Heads that were trained again with new seeds are ranked by the mean of those
trainings, before the others: the score that a head was picked for is the one
score that cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cars_bench.documents import to_json
from cars_bench.errors import NoTrialCompleted
from cars_bench.evaluation.metrics import Estimate
from cars_bench.progress import plural
from cars_bench.training.specs import HeadSpec, TrainingSpec
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
COLUMNS = (
    "trial_id", "kind", "status", "score", "low", "high", "tied", "seconds", "epochs",
    "repeats", "single", "beats_probes", "parameters", "description", "reason",
)  # fmt: skip
"""Of a row, as a table shows it."""


@dataclass(frozen=True, kw_only=True)
class LeaderboardRow:
    """One line of the leaderboard: a trial, and what the others make of its score.

    Attributes:
        trial: The trial or probe.
        score: Validation top-1, `None` unless completed; with repeats their mean.
        low: Lower end of its 95% interval: Wilson's (1927), with repeats the
            bootstrap's over validation images and seeds.
        high: Upper end.
        tied: Paired bootstrap cannot tell it from the first row.
        beats_probes: Better than every probe; `None` for a probe, or without probes.
    """

    trial: Trial
    score: float | None
    low: float | None
    high: float | None
    tied: bool
    beats_probes: bool | None = None

    @property
    def trial_id(self) -> str:
        """Unique; probes are `probe-NAME`."""
        return self.trial.trial_id

    @property
    def kind(self) -> str:
        """`trial` or `probe`."""
        return self.trial.kind

    @property
    def status(self) -> str:
        """`completed`, `failed` or `running`."""
        return self.trial.status

    @property
    def seconds(self) -> float:
        """Wall time."""
        return round(self.trial.seconds, 3)

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.trial.epochs)

    @property
    def parameters(self) -> int | None:
        """Of the head."""
        return self.trial.parameters

    @property
    def head(self) -> HeadSpec | None:
        """The head; `None` for probes."""
        return self.trial.head

    @property
    def training(self) -> TrainingSpec | None:
        """Its training; `None` for probes."""
        return self.trial.training

    @property
    def reason(self) -> str:
        """Why it failed."""
        return self.trial.reason

    @property
    def repeats(self) -> int:
        """Trainings with new seeds that `score` is the mean of; 0 is none."""
        return len(self.trial.repeats)

    @property
    def single(self) -> float | None:
        """Score of the trial itself, which it was picked for."""
        return self.trial.score

    @property
    def description(self) -> str:
        """The head (or probe) in a few words."""
        return self.head.describe() if self.head else self.trial_id.removeprefix("probe-")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, under the keys that scripts read from `trials --json`."""
        names = (
            "trial_id", "kind", "status", "score", "low", "high", "tied", "seconds", "epochs",
            "parameters", "head", "training", "reason", "repeats", "single", "beats_probes",
        )  # fmt: skip
        specs = {"head": self.head, "training": self.training}
        plain = {name: spec and to_json(spec) for name, spec in specs.items()}
        return {name: plain[name] if name in plain else getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
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
    observed_drop: float | None = None

    def measured(self, test_top1: float | None) -> WinnersCurse:
        """The same with the drop to a test top-1, where that was measured."""
        return self if test_top1 is None else replace(self, observed_drop=self.score - test_top1)


def leaderboard(study: Study) -> tuple[LeaderboardRow, ...]:
    """All rows: completed ones by score, repeated ones first, then running, then failed ones."""
    everything = study.trials()
    trials = [
        item
        for status in ("completed", "running", "failed")
        for item in _ordered([item for item in everything if item.status == status])
    ]
    means = _means(trials)
    first = trials[0] if trials and trials[0].status == "completed" else None
    rows = [_row(trial, first, means) for trial in trials]
    probe = best_probe(rows)
    return tuple(replace(row, beats_probes=_beats(row, probe)) for row in rows)


def head_rows(study: Study) -> list[LeaderboardRow]:
    """The completed heads of the leaderboard, best first; probes are none."""
    asked = ("trial", "completed")
    return [row for row in leaderboard(study) if (row.kind, row.status) == asked]


def best_probe(rows: Sequence[LeaderboardRow]) -> LeaderboardRow | None:
    """The first completed probe; `None` without one."""
    return next((row for row in rows if row.kind == "probe" and row.status == "completed"), None)


def no_head_beats(rows: Sequence[LeaderboardRow], winner: str) -> LeaderboardRow | None:
    """The best probe, where the winner does not beat it; else `None`.

    With repeats their mean decides; the score that a head was picked for never does.

    Args:
        rows: The leaderboard.
        winner: The winning trial's id.
    """
    chosen = next((row for row in rows if row.trial_id == winner), None)
    return best_probe(rows) if chosen and chosen.beats_probes is False else None


def _beats(row: LeaderboardRow, probe: LeaderboardRow | None) -> bool | None:
    """Whether a row is better than the best probe: the one decision about that."""
    if probe is None or row.kind != "trial" or row.status != "completed":
        return None
    return (row.score or 0.0) > (probe.score or 0.0)


def mean_beside(study: Study, trial_id: str, carried: float, called: str = "frozen") -> str:
    """What tells one training's validation top-1 from the number that its head goes by.

    Args:
        study: Its study.
        trial_id: The head.
        carried: Of the training that a model carries.
        called: What that training is called beside its score.

    Returns:
        A sentence; empty where the two are the same to a tenth of a percent.
    """
    row = next((row for row in leaderboard(study) if row.trial_id == trial_id), None)
    if row is None or row.score is None or f"{row.score:.1%}" == f"{carried:.1%}":
        return ""
    return (
        f"{called} val is that of the training the model carries; the head goes by "
        f"{row.score:.1%}, its mean over {plural(row.repeats, 'new seed')}"
    )


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


def why_chosen(rows: Sequence[LeaderboardRow], winner: str) -> str:
    """Why a head that is not the best trial has won; empty where the best did.

    Args:
        rows: The leaderboard.
        winner: The winning trial's id.
    """
    best = next((row for row in rows if row.kind == "trial"), None)
    if best is None or best.trial_id == winner:
        return ""
    return f"the smallest head that cannot be told from {best.trial_id} ({best.score or 0.0:.1%})"


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


def winners_curse(study: Study, test_top1: float | None = None) -> WinnersCurse | None:
    """What the winner's score is expected to lose; `None` where the ledger cannot say.

    Args:
        study: The study.
        test_top1: Test top-1 of the winner's frozen head, where it was measured.
    """
    done = [item for item in best_first(study) if item.correct]
    done.sort(key=lambda item: item.number)
    if not done:
        return None
    winner = best_trial(study)
    found = WinnersCurse(
        trial_id=winner.trial_id,
        candidates=len(done),
        score=winner.score or 0.0,
        expected_drop=expected_drop([unpack(item.correct)[None] for item in done]),
    )
    return found.measured(test_top1)


def differences(trials: Sequence[Trial], reference: Trial) -> dict[str, Estimate]:
    """By how much each trial's score differs from another's, with 95% intervals.

    From the same paired resamples that say which rows are tied, for all trials whose
    answers the ledger holds; none where it does not hold the reference's.

    Args:
        trials: Completed ones in the leaderboard's order, the reference among them.
        reference: What the others are compared with.
    """
    means = _means(trials)
    own = _shown(reference) or 0.0
    if reference.trial_id not in means:
        return {}
    return {
        item.trial_id: interval(
            means[item.trial_id] - means[reference.trial_id], (_shown(item) or 0.0) - own
        )
        for item in trials
        if item.trial_id in means
    }


def answers_of(trial: Trial) -> Bools:
    """Bool `[S, N]` of the trainings that a row's score is the mean of, from the ledger."""
    own = unpack(trial.correct)
    wrong = np.zeros_like(own)
    again = [unpack(item.correct) if item.correct else wrong for item in trial.repeats]
    return np.stack(again or [own])


def _shown(trial: Trial) -> float | None:
    """The score that a row shows: with repeats their mean, a failed one counted as zero."""
    if trial.status != "completed" or not trial.repeats:
        return trial.score
    return float(np.mean([item.score or 0.0 for item in trial.repeats]))


def _ordered(trials: Sequence[Trial]) -> list[Trial]:
    """In the leaderboard's order; once some trials were repeated they come before the others."""
    repeated = any(item.repeats for item in trials)
    return sorted(
        trials,
        key=lambda item: (repeated and item.kind == "trial" and not item.repeats, *_rank(item)),
    )


def _rank(trial: Trial) -> tuple[float, int, int, str]:
    return -(_shown(trial) or 0.0), trial.parameters or 0, trial.number, trial.trial_id


def _means(trials: Sequence[Trial]) -> dict[str, Floats]:
    """Resampled accuracies `[RESAMPLES]` of every trial whose answers the ledger holds."""
    answers = {item.trial_id: answers_of(item) for item in trials if item.correct}
    if not answers:
        return {}
    means = resampled_means(list(answers.values()))
    return {trial_id: means[:, column] for column, trial_id in enumerate(answers)}


def _tied(trial: Trial, first: Trial, means: dict[str, Floats]) -> bool:
    """Whether a completed row cannot be told from the first one."""
    if trial.trial_id in means and first.trial_id in means:
        return not told_apart(means[trial.trial_id], means[first.trial_id])
    # Without its answers there are only the intervals to go by.
    return trial.high is not None and trial.high >= (_shown(first) or 0.0)


def _row(trial: Trial, first: Trial | None, means: dict[str, Floats]) -> LeaderboardRow:
    done = trial.status == "completed"
    row = LeaderboardRow(
        trial=trial,
        score=_shown(trial),
        low=trial.low,
        high=trial.high,
        tied=bool(done and first is not None and _tied(trial, first, means)),
    )
    if not (done and trial.repeats and trial.trial_id in means):
        return row
    estimate = interval(means[trial.trial_id], row.score or 0.0)
    return replace(row, low=estimate.low, high=estimate.high)
