"""A search over heads: its leaderboard, its winner, its probes and its curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from cars_bench.finetune.runs import frozen_test_top1, runs
from cars_bench.panels import panel
from cars_bench.progress import accuracy, for_stream, plural
from cars_bench.results.model import ModelResult
from cars_bench.tuning.leaderboard import (
    COLUMNS,
    LeaderboardRow,
    WinnersCurse,
    best_trial,
    leaderboard,
    winners_curse,
)
from cars_bench.tuning.probes import run_probes
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

SHOWN = 5
"""Rows of a leaderboard that a panel shows."""


@dataclass(frozen=True, repr=False)
class StudyResult:
    """A search over heads.

    Attributes:
        workspace: Where it lies.
        study: The study on disk.
    """

    workspace: Workspace
    study: Study

    @property
    def winner(self) -> LeaderboardRow:
        """The row of the smallest head that cannot be told from the best trial.

        Raises:
            NoTrialCompleted: No trial completed.
        """
        chosen = best_trial(self.study).trial_id
        return next(row for row in leaderboard(self.study) if row.trial_id == chosen)

    @property
    def winners_curse(self) -> WinnersCurse | None:
        """How far the winner's score is expected to fall on new images, and how far it fell."""
        curse = winners_curse(self.study)
        return curse and curse.measured(frozen_test_top1(self.study, curse.trial_id))

    def leaderboard(self) -> pd.DataFrame:
        """Trials and probes, best validation top-1 first, with their 95% intervals."""
        return _leaderboard_table(leaderboard(self.study))

    def probe(self, quiet: bool = False) -> pd.DataFrame:
        """Measure ridge, logistic regression and kNN on the same features, once; their rows."""
        study = run_probes(self.workspace, self.study.cache_key, self.study.name, for_stream(quiet))
        return _leaderboard_table([row for row in leaderboard(study) if row.kind == "probe"])

    def curves(self) -> pd.DataFrame:
        """One row an epoch of each trial: losses, validation top-1, rate and seconds."""
        rows = (
            {"trial_id": trial.trial_id, **asdict(epoch)}
            for trial in self.study.trials()
            for epoch in trial.epochs
        )
        return pd.DataFrame(rows)

    def models(self) -> tuple[ModelResult, ...]:
        """The models that were fine-tuned from it, by name."""
        return tuple(ModelResult(self.workspace, run) for run in runs(self.study))

    def _lines(self) -> list[str]:
        record = self.study.record
        found = record.features
        counted = [row for row in self.study.trials() if row.kind == "trial"]
        return [
            f"{plural(len(counted), 'trial')} on {found.width:,} features of {found.backbone}"
            f"{f', trained on {record.backend}' if record.backend else ''}"
        ]

    def __repr__(self) -> str:
        return "\n".join([f"study {self.study.name}", *self._lines()])

    def _repr_html_(self) -> str:
        rows = leaderboard(self.study)[:SHOWN]
        cells = [
            (row.trial_id, accuracy(row.score, row.low, row.high), row.description) for row in rows
        ]
        heads = [("trial", "validation top-1 (95% interval)", "head")] if cells else []
        return panel(f"study {self.study.name}", self._lines(), [*heads, *cells])


def _leaderboard_table(rows: Sequence[LeaderboardRow]) -> pd.DataFrame:
    return pd.DataFrame(
        [[getattr(row, name) for name in COLUMNS] for row in rows], columns=list(COLUMNS)
    )
