"""Accuracies by stage and split, as a table and as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cars_bench.evaluation.metrics import Estimate, SplitScore
from cars_bench.finetune.runs import Stage
from cars_bench.progress import accuracy

Scores = Mapping[Stage, Mapping[str, SplitScore]]


def score_table(scores: Scores) -> pd.DataFrame:
    """One row a stage and split."""
    rows = [
        {"stage": stage, "split": split, "n": score.n}
        | {"top1": score.top1.value, "top1_low": score.top1.low, "top1_high": score.top1.high}
        | {"top5": score.top5.value, "top5_low": score.top5.low, "top5_high": score.top5.high}
        for stage, found in scores.items()
        for split, score in found.items()
    ]
    return pd.DataFrame(rows)


def score_rows(scores: Scores) -> list[tuple[str, ...]]:
    """The same in words, headings first."""
    rows = [
        (stage, split, _accuracy(score.top1), _accuracy(score.top5), f"{score.n:,}")
        for stage, found in scores.items()
        for split, score in found.items()
    ]
    return [("stage", "split", "top-1 (95% interval)", "top-5", "images"), *rows]


def _accuracy(found: Estimate) -> str:
    return accuracy(found.value, found.low, found.high)
