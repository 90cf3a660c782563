"""What the finished model gets wrong, as plain numbers read from its predictions table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cars_bench.evaluation.calibration import (
    ReliabilityBin,
    reliability,
)
from cars_bench.evaluation.groups import GroupScore, accuracy_by, parse_name
from cars_bench.evaluation.metrics import McNemar, mcnemar
from cars_bench.reports.calibration import RELIABILITY_BINS, Calibration, calibrations
from cars_bench.reports.confusion import Confusion, off_diagonal
from cars_bench.reports.inputs import Run, Sources


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
    """One wrong answer.

    Attributes:
        probability: The model's own for its answer.
        given: Its probability for the truth, where that is among the five kept.
        twin: Class under which the very same file stands in the training split; empty if none.
    """

    image_id: str
    true: str
    predicted: str
    probability: float
    given: float | None
    twin: str = ""


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
        calibrations: How sure each stage is against how right, frozen first.
        confusions: The wrong cells of `matrix`, by name, most first.
        groups: Accuracy by make, body type and year, where class names tell at least two.
        changed: Frozen against fine-tuned, image by image, where both predicted.
    """

    run: str
    stage: str
    images: int
    wrong: int
    pairs: tuple[Pair, ...]
    worst: tuple[Mistake, ...]
    bins: tuple[ReliabilityBin, ...]
    calibration_error: float
    calibrations: tuple[Calibration, ...]
    gains: tuple[Gain, ...]
    matrix: tuple[tuple[int, int, int], ...]
    confusions: tuple[Confusion, ...]
    groups: dict[str, tuple[GroupScore, ...]]
    changed: McNemar | None


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
    table = _marked(table).assign(p=table["prob1"].astype(float))
    bins = reliability(table["p"].to_numpy(), table["right"].to_numpy(), RELIABILITY_BINS)
    matrix = tuple(confusion_cells(table, sources.class_names))
    told = calibrations(run.predictions)
    return MistakeFacts(
        run=run.name,
        stage=stage,
        images=len(table),
        wrong=int((~table["right"]).sum()),
        pairs=tuple(confused(table, pairs)),
        worst=tuple(confident_errors(table, worst, training_labels(sources))),
        bins=tuple(item for item in bins if item.n),
        calibration_error=next(item.error for item in told if item.stage == stage),
        calibrations=told,
        gains=tuple(class_gains(run)),
        matrix=matrix,
        confusions=off_diagonal(matrix, sources.class_names),
        groups=group_scores(table),
        changed=answers_changed(run),
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


def training_labels(sources: Sources) -> dict[str, str]:
    """The training class, or classes, of each test image that is a training image as well."""
    if sources.dataset is None:
        return {}
    found = sources.dataset.labels_elsewhere("test", "train")
    return {image: " and ".join(names) for image, names in found.items()}


def confident_errors(
    table: pd.DataFrame, limit: int, twins: dict[str, str] | None = None
) -> list[Mistake]:
    """Wrong answers, the most confident first; `twins` as from `training_labels`."""
    wrong = table[~table["right"]].sort_values(["p", "image_id"], ascending=[False, True])
    return [
        Mistake(
            str(row["image_id"]),
            str(row["true"]),
            str(row["pred1"]),
            float(row["p"]),
            _given(row),
            (twins or {}).get(str(row["image_id"]), ""),
        )
        for row in wrong.head(limit).to_dict("records")
    ]


def _given(row: dict[Hashable, Any]) -> float | None:
    """The probability the model gave to the truth, where it is among the five kept."""
    for place in range(2, 6):
        if row.get(f"pred{place}") == row["true"]:
            return float(str(row[f"prob{place}"]))
    return None


def class_gains(run: Run) -> list[Gain]:
    """Recall by class before and after fine-tuning, biggest gain first; empty unless both exist."""
    if not {"test", "test-frozen"} <= set(run.predictions):
        return []
    return recall_changes(_marked(run.predictions["test-frozen"]), _marked(run.predictions["test"]))


def _marked(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(right=table["pred1"] == table["true"])


def recall_changes(before: pd.DataFrame, after: pd.DataFrame) -> list[Gain]:
    """Recall of each class that both tables (columns `true`, `right`) know, biggest gain first."""
    old, new = (table.groupby("true")["right"].mean() for table in (before, after))
    sizes = after["true"].value_counts()
    gains = [
        Gain(str(name), float(old[name]), float(new[name]), int(sizes[name]))
        for name in new.index
        if name in old.index
    ]
    return sorted(gains, key=lambda gain: (-gain.change, gain.name))


def confusion_cells(table: pd.DataFrame, class_names: list[str]) -> list[tuple[int, int, int]]:
    """(true label, predicted label, count) of every pair of known classes that occurred."""
    labels = {name: label for label, name in enumerate(class_names)}
    known = table[table["true"].isin(labels) & table["pred1"].isin(labels)]
    counts = Counter(zip(known["true"].map(labels), known["pred1"].map(labels), strict=True))
    return sorted((int(t), int(p), count) for (t, p), count in counts.items())


def group_scores(table: pd.DataFrame) -> dict[str, tuple[GroupScore, ...]]:
    """Accuracy by what class names tell; worst first; a property with one group is left out."""
    names, right = list(table["true"]), table["right"].to_numpy(bool)
    found = {
        "make": accuracy_by(lambda name: parse_name(name).make, names, right),
        "body": accuracy_by(lambda name: parse_name(name).body, names, right),
        "year": accuracy_by(lambda name: parse_name(name).year, names, right),
    }
    return {name: tuple(rows) for name, rows in found.items() if len(rows) > 1}


def answers_changed(run: Run) -> McNemar | None:
    """McNemar's test of frozen against fine-tuned on the test images both predicted."""
    if not {"test", "test-frozen"} <= set(run.predictions):
        return None
    right = {
        name: (table["pred1"] == table["true"]).set_axis(table["image_id"])
        for name, table in run.predictions.items()
    }
    before, after = right["test-frozen"].align(right["test"], join="inner")
    return mcnemar(before.to_numpy(bool), after.to_numpy(bool))
