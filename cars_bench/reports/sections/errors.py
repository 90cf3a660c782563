"""What the finished model gets wrong, and whether it knows, from its predictions table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from cars_bench.evaluation.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability,
)
from cars_bench.evaluation.groups import GroupScore, accuracy_by, parse_name
from cars_bench.evaluation.metrics import Estimate, McNemar, mcnemar, wilson
from cars_bench.reports.inputs import Inputs, Run
from cars_bench.reports.svg import BLUE, MUTED, Figures, draw, percent_axis, plain_axes
from cars_bench.reports.words import Table, Tables, interval, percent

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
    """One wrong answer.

    Attributes:
        probability: The model's own for its answer.
        given: Its probability for the truth, where that is among the five kept.
        near_duplicate: Class under which the very same file stands in the training split;
            empty if none.
    """

    image_id: str
    true: str
    predicted: str
    probability: float
    given: float | None
    near_duplicate: str = ""


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


@dataclass(frozen=True)
class Confusion:
    """`count` of the `of` test images of class `true` were called `predicted`."""

    true: str
    predicted: str
    count: int
    of: int


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


def facts(inputs: Inputs, pairs: int = 12, worst: int = 48) -> MistakeFacts | None:
    """Read the best run's test predictions; `None` where nothing was predicted yet.

    Args:
        inputs: What earlier stages wrote.
        pairs: Most confused pairs kept.
        worst: Confident errors kept.
    """
    run = inputs.run
    if run is None or not run.predictions:
        return None
    stage = "finetuned" if "test" in run.predictions else "frozen"
    table = run.predictions.get("test", run.predictions.get("test-frozen"))
    if table is None or table.empty:
        return None
    table = _marked(table).assign(p=table["prob1"].astype(float))
    bins = reliability(table["p"].to_numpy(), table["right"].to_numpy(), RELIABILITY_BINS)
    matrix = tuple(confusion_cells(table, inputs.class_names))
    told = calibrations(run.predictions)
    return MistakeFacts(
        run=run.name,
        stage=stage,
        images=len(table),
        wrong=int((~table["right"]).sum()),
        pairs=tuple(confused(table, pairs)),
        worst=tuple(confident_errors(table, worst, training_labels(inputs))),
        bins=tuple(item for item in bins if item.n),
        calibration_error=next(item.error for item in told if item.stage == stage),
        calibrations=told,
        gains=tuple(class_gains(run)),
        matrix=matrix,
        confusions=off_diagonal(matrix, inputs.class_names),
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


def training_labels(inputs: Inputs) -> dict[str, str]:
    """The training class, or classes, of each test image that is a training image as well."""
    if inputs.dataset is None:
        return {}
    found = inputs.dataset.labels_elsewhere("test", "train")
    return {image: " and ".join(names) for image, names in found.items()}


def confident_errors(
    table: pd.DataFrame, limit: int, near_duplicates: dict[str, str] | None = None
) -> list[Mistake]:
    """Wrong answers, the most confident first; `near_duplicates` as from `training_labels`."""
    wrong = table[~table["right"]].sort_values(["p", "image_id"], ascending=[False, True])
    return [
        Mistake(
            str(row["image_id"]),
            str(row["true"]),
            str(row["pred1"]),
            float(row["p"]),
            _given(row),
            (near_duplicates or {}).get(str(row["image_id"]), ""),
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


def off_diagonal(
    matrix: Sequence[tuple[int, int, int]], names: Sequence[str]
) -> tuple[Confusion, ...]:
    """Every pair of different classes that occurred, most first.

    Args:
        matrix: (true label, predicted label, count) of every cell that is not empty.
        names: Class names; the index is the label.
    """
    sizes: Counter[int] = Counter()
    for true, _, count in matrix:
        sizes[true] += count
    wrong = [cell for cell in matrix if cell[0] != cell[1]]
    ordered = sorted(wrong, key=lambda cell: (-cell[2], names[cell[0]], names[cell[1]]))
    return tuple(Confusion(names[t], names[p], count, sizes[t]) for t, p, count in ordered)


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


def figure(mistakes: MistakeFacts) -> Figures:
    """Confidence against accuracy; the diagonal is a model that knows how sure to be."""
    bins = mistakes.bins

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "the model's own probability", "share right")
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
        width = [b.high - b.low for b in bins]
        axes.bar([b.low for b in bins], [b.accuracy for b in bins], width, align="edge",
                 color=BLUE, alpha=0.35, edgecolor=BLUE)  # fmt: skip
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color=BLUE,
                  clip_on=False)  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        percent_axis(axes, "x")
        percent_axis(axes)

    said = "; ".join(
        f"{item.stage}: {percent(item.sure, 0)} sure, {percent(item.right.value, 0)} right"
        for item in mistakes.calibrations
    )
    drawn = draw("reliability", "Reliability diagram", said + ".", paint, width=4.6, height=3.4)
    return {"reliability": drawn}


def table(mistakes: MistakeFacts) -> Tables:
    """One row a bin of the model's own probability."""
    rows = [
        (interval(b.low, b.high, 0), f"{b.n:,}", percent(b.confidence), percent(b.accuracy))
        for b in mistakes.bins
    ]
    headings = ("Probability", "Images", "Mean probability", "Share right")
    return {"reliability": Table(headings, tuple(rows))}
