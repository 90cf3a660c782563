from __future__ import annotations

import pandas as pd
import pytest

from cars_bench.reports.calibration import calibration, calibrations


def _table(sure: float, right: int, n: int = 100) -> pd.DataFrame:
    answers = ["a"] * right + ["b"] * (n - right)
    return pd.DataFrame({"true": "a", "pred1": answers, "prob1": [str(sure)] * n})


@pytest.mark.parametrize(
    ("sure", "direction"),
    [
        (0.46, "under-confident"),
        (0.95, "over-confident"),
        (0.74, "well calibrated on average"),
    ],
)
def test_the_direction_compares_mean_sureness_with_the_interval_of_accuracy(sure, direction):
    facts = calibration("finetuned", _table(sure, 76))
    assert facts.direction == direction
    assert facts.right.value == 0.76
    assert facts.error == pytest.approx(abs(0.76 - sure))


def test_both_models_are_told_frozen_first():
    found = calibrations({"test": _table(0.5, 76), "test-frozen": _table(0.9, 60), "val": None})
    assert [item.stage for item in found] == ["frozen", "finetuned"]
    assert [item.direction for item in found] == ["over-confident", "under-confident"]


def test_a_model_that_was_not_predicted_is_left_out():
    assert [item.stage for item in calibrations({"test": _table(0.5, 76)})] == ["finetuned"]
    assert calibrations({"test": _table(0.5, 76).head(0)}) == ()
