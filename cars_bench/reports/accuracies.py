"""The accuracies that a report shows, each under one name and with one number."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cars_bench.evaluation.metrics import Estimate, SplitScore
from cars_bench.finetune.runs import FINETUNED, FROZEN, MEASURED, Run
from cars_bench.reports.inputs import Inputs, name_of_run
from cars_bench.tuning.leaderboard import LeaderboardRow


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One measured accuracy on the ladder from chance to the finished model.

    Attributes:
        kind: `chance`, `probe`, `frozen` or `finetuned`.
        value: Top-1 in [0, 1]; `low`..`high` is its 95% interval.
        top5: Top-5 in [0, 1] with its interval, where it was measured.
        n: Images it was measured on; 0 where that is not recorded.
    """

    label: str
    kind: str
    split: str
    value: float
    low: float
    high: float
    top5: tuple[float, float, float] | None = None
    n: int = 0


def accuracies(inputs: Inputs, run: Run) -> list[Baseline]:
    """Those of a run, the frozen head before the finished model.

    On validation the head's number is the leaderboard's, the mean over new seeds where there
    are any; the training that the run carries stands in the section of the winner.
    """
    trial_id = run.record.trial_id
    label = label_of(inputs, trial_id)
    row = next((row for row in inputs.board if row.trial_id == trial_id), None)
    found = []
    for stage, name in ((FROZEN, label), (FINETUNED, _capital(name_of_run(run)))):
        for split in MEASURED:
            score = run.score(stage, split)
            if row and (stage, split) == (FROZEN, "val"):
                found.append(replace(on_board(name, row), n=score.n if score else 0))
            elif score:
                found.append(measured(name, stage, split, score))
    return found


def measured(label: str, kind: str, split: str, score: SplitScore) -> Baseline:
    """An accuracy that was measured on a split."""
    return Baseline(
        label=label,
        kind=kind,
        split=split,
        value=score.top1.value,
        low=score.top1.low,
        high=score.top1.high,
        top5=_ends(score.top5),
        n=score.n,
    )


def on_board(label: str, row: LeaderboardRow) -> Baseline:
    """An accuracy from the leaderboard: the mean over new seeds where there are any."""
    value = row.score or 0.0
    return Baseline(
        label=label,
        kind="probe" if row.kind == "probe" else "frozen",
        split="val",
        value=value,
        low=value if row.low is None else row.low,
        high=value if row.high is None else row.high,
    )


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def label_of(inputs: Inputs, trial_id: str) -> str:
    """What a trial's frozen head is called beside its accuracy."""
    return _capital(inputs.called_frozen(trial_id))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
