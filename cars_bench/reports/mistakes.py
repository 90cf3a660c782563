"""What the finished model gets wrong, as plain numbers read from its predictions table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cars_bench.reports.sources import Run, Sources

RELIABILITY_BINS = 10


@dataclass(frozen=True)
class Pair:
    """Two classes taken for each other: `count` images of `true` were called `predicted`."""

    true: str
    predicted: str
    count: int
    back: int
    of: int
    images: tuple[str, ...]


@dataclass(frozen=True)
class Mistake:
    """One wrong answer; `probability` is the model's own for it, `given` that for the truth."""

    image_id: str
    true: str
    predicted: str
    probability: float
    given: float | None


@dataclass(frozen=True)
class Bin:
    """One bar of the reliability diagram: images whose first answer had such a probability."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Gain:
    """Test recall of one class before and after fine-tuning; `n` is its test images."""

    name: str
    before: float
    after: float
    n: int

    @property
    def change(self) -> float:
        """After less before, in [-1, 1]."""
        return self.after - self.before


@dataclass(frozen=True)
class MistakeFacts:
    """The errors of one run on the test images.

    Attributes:
        stage: `finetuned`, or `frozen` where only that was predicted.
        matrix: (true label, predicted label, count) of every pair that occurred.
        calibration_error: Expected calibration error in [0, 1] (Naeini et al. 2015).
    """

    run: str
    stage: str
    images: int
    wrong: int
    pairs: tuple[Pair, ...]
    worst: tuple[Mistake, ...]
    bins: tuple[Bin, ...]
    calibration_error: float
    gains: tuple[Gain, ...]
    matrix: tuple[tuple[int, int, int], ...]


def mistake_facts(sources: Sources, pairs: int = 12, worst: int = 48) -> MistakeFacts | None:
    """Read the best run's test predictions; `None` where nothing was predicted yet.

    Args:
        sources: What earlier stages wrote.
        pairs: Most confused pairs kept.
        worst: Confident errors kept.
    """
    run = sources.run
    if run is None or not run.predictions:
        return None
    stage = "finetuned" if "test" in run.predictions else "frozen"
    table = run.predictions.get("test", run.predictions.get("test-frozen"))
    if table is None or table.empty:
        return None
    table = table.assign(right=table["pred1"] == table["true"], p=table["prob1"].astype(float))
    bins = reliability(table["p"].to_numpy(), table["right"].to_numpy())
    return MistakeFacts(
        run=run.name,
        stage=stage,
        images=len(table),
        wrong=int((~table["right"]).sum()),
        pairs=tuple(confused(table, pairs)),
        worst=tuple(confident_errors(table, worst)),
        bins=tuple(bins),
        calibration_error=sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / len(table),
        gains=tuple(class_gains(run)),
        matrix=tuple(confusion_cells(table, sources.class_names)),
    )


def confused(table: pd.DataFrame, limit: int) -> list[Pair]:
    """The pairs confused most, both directions counted together, most first."""
    wrong = table[~table["right"]]
    counts = Counter(zip(wrong["true"], wrong["pred1"], strict=True))
    sizes = table["true"].value_counts()
    found = {}
    for true, predicted in counts:
        one, other = counts[true, predicted], counts[predicted, true]
        if (one, true) >= (other, predicted):
            rows = wrong[(wrong["true"] == true) & (wrong["pred1"] == predicted)]
            images = tuple(rows.sort_values("p", ascending=False)["image_id"])
            found[true, predicted] = Pair(true, predicted, one, other, int(sizes[true]), images)
    ordered = sorted(found.values(), key=lambda pair: (-pair.count - pair.back, pair.true))
    return ordered[:limit]


def confident_errors(table: pd.DataFrame, limit: int) -> list[Mistake]:
    """Wrong answers, the most confident first."""
    wrong = table[~table["right"]].sort_values(["p", "image_id"], ascending=[False, True])
    return [
        Mistake(
            str(row["image_id"]), str(row["true"]), str(row["pred1"]), float(row["p"]), _given(row)
        )
        for row in wrong.head(limit).to_dict("records")
    ]


def _given(row: dict[Hashable, Any]) -> float | None:
    """The probability the model gave to the truth, where it is among the five kept."""
    for place in range(2, 6):
        if row.get(f"pred{place}") == row["true"]:
            return float(str(row[f"prob{place}"]))
    return None


def reliability(
    probability: np.ndarray, right: np.ndarray, bins: int = RELIABILITY_BINS
) -> list[Bin]:
    """Confidence against accuracy in equal-width bins; empty bins are left out.

    Args:
        probability: Of the first answer, float [N] in [0, 1].
        right: Whether it was right, bool [N].
        bins: How many bins.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.clip(np.digitize(probability, edges[1:-1], right=True), 0, bins - 1)
    found = []
    for place in range(bins):
        here = places == place
        if here.any():
            mean, share = float(probability[here].mean()), float(right[here].mean())
            low, high = float(edges[place]), float(edges[place + 1])
            found.append(Bin(low, high, int(here.sum()), mean, share))
    return found


def class_gains(run: Run) -> list[Gain]:
    """Recall by class before and after fine-tuning, biggest gain first; empty unless both exist."""
    if not {"test", "test-frozen"} <= set(run.predictions):
        return []
    after, before = run.predictions["test"], run.predictions["test-frozen"]
    new, old = _recall(after), _recall(before)
    sizes = after["true"].value_counts()
    gains = [Gain(str(n), float(old.get(n, 0)), float(new[n]), int(sizes[n])) for n in new.index]
    return sorted(gains, key=lambda gain: (-gain.change, gain.name))


def _recall(table: pd.DataFrame) -> pd.Series[Any]:
    return (table["pred1"] == table["true"]).astype(float).groupby(table["true"]).mean()


def confusion_cells(table: pd.DataFrame, class_names: list[str]) -> list[tuple[int, int, int]]:
    """(true label, predicted label, count) of every pair of known classes that occurred."""
    labels = {name: label for label, name in enumerate(class_names)}
    known = table[table["true"].isin(labels) & table["pred1"].isin(labels)]
    counts = Counter(zip(known["true"].map(labels), known["pred1"].map(labels), strict=True))
    return sorted((int(t), int(p), count) for (t, p), count in counts.items())
