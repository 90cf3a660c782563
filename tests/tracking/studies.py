"""What the tests of every tracker need: a study that grows, and its rows read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cars_bench.tracking.rows import TrackedRun
from cars_bench.training.checkpoint import EpochResult
from cars_bench.tuning.ledger import Ledger, TrialOutcome
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace
from tests.tuning.studies import begin_trial, fail_trial, write_probe, write_study

NAME = "cars"
ANSWERS = np.arange(20) < 12

Rows = dict[str, tuple]
"""By run: its status, the names of its parameters, and its points in order."""


@dataclass(frozen=True)
class Tracked:
    """A workspace with one study."""

    workspace: Workspace
    study: Study

    @classmethod
    def in_folder(cls, root: Path) -> Tracked:
        workspace = Workspace(root)
        return cls(workspace, write_study(workspace.studies / NAME))

    def grow(self, first: int, trials: int, epochs: int = 3) -> None:
        """More trials with epochs, of which every fourth fails; before them a probe."""
        with Ledger(self.study.ledger_path) as ledger:
            if first == 0:
                write_probe(ledger, "ridge", ANSWERS)
            for number in range(first, first + trials):
                if number % 4 == 3:
                    fail_trial(ledger, number, "the loss became nan in epoch 1")
                else:
                    _trial(ledger, number, epochs)


def _trial(ledger: Ledger, number: int, epochs: int) -> None:
    trial = begin_trial(ledger, number)
    for epoch in range(1, epochs + 1):
        ledger.epoch(trial.trial_id, epoch_of(epoch, number))
    score = (10 + number % 10) / 20
    outcome = TrialOutcome(
        score=score, low=score / 2, high=1.0, best_epoch=1, parameters=9, seconds=2.0
    )
    ledger.ended(trial.ended(outcome))


def epoch_of(epoch: int, number: int = 0) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        train_loss=1 / (epoch + number),
        val_loss=2 / (epoch + number),
        val_top1=epoch / (epoch + number + 1),
        learning_rate=0.001,
        seconds=0.25,
    )


def expected(runs: list[TrackedRun], places: Callable[[str], bool] = lambda key: True) -> Rows:
    """The rows that a tracker should hold of runs."""
    return {
        run.key: (
            run.status,
            sorted(run.parameters),
            sorted((item.name, item.step, float(np.float32(item.value))) for item in run.points),
        )
        for run in runs
        if places(run.key)
    }
