"""Whether a model says how sure it may be: its direction in words, from its predictions table."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cars_bench.evaluation.calibration import expected_calibration_error, reliability
from cars_bench.evaluation.metrics import Estimate, wilson

RELIABILITY_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How sure one model is on the test images, against how often it is right.

    Attributes:
        stage: `frozen` or `finetuned`.
        sure: Mean probability of its first answer.
        right: Share of them that is right, with Wilson's 95% interval.
        error: Expected calibration error in [0, 1] (Naeini et al. 2015).
    """

    stage: str
    sure: float
    right: Estimate
    error: float

    @property
    def direction(self) -> str:
        """Which way it errs; neither where `sure` lies in the interval of `right`."""
        if self.sure < self.right.low:
            return "under-confident"
        return "over-confident" if self.sure > self.right.high else "well calibrated on average"


def calibration(stage: str, table: pd.DataFrame) -> Calibration:
    """Calibration of a predictions table (columns `true`, `pred1`, `prob1`), not empty."""
    sure = table["prob1"].astype(float).to_numpy()
    right = (table["pred1"] == table["true"]).to_numpy(bool)
    error = expected_calibration_error(reliability(sure, right, RELIABILITY_BINS))
    return Calibration(stage, float(sure.mean()), wilson(int(right.sum()), len(right)), error)


def calibrations(predictions: dict[str, pd.DataFrame]) -> tuple[Calibration, ...]:
    """Of the frozen and the fine-tuned model, those whose test predictions exist."""
    stages = {"frozen": "test-frozen", "finetuned": "test"}
    found = {stage: predictions.get(name) for stage, name in stages.items()}
    return tuple(
        calibration(stage, table)
        for stage, table in found.items()
        if table is not None and not table.empty
    )
