"""What the finished model gets wrong on the test images, and whether it knows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from matplotlib.figure import Figure

from cars_bench.evaluation.assessment import Assessment, assess
from cars_bench.evaluation.calibration import Calibration, ReliabilityBin
from cars_bench.evaluation.comparison import AnswersChanged, ClassChange, answers_changed
from cars_bench.evaluation.confusion import ConfusedPair, Mistake, MutualPair
from cars_bench.evaluation.groups import GroupScore
from cars_bench.evaluation.metrics import Estimate, McNemar
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.svg import BLUE, MUTED, Figures, draw, percent_axis, plain_axes
from cars_bench.reports.words import Table, Tables, interval, percent

MOST_PAIRS = 12
MOST_ERRORS = 48


@dataclass(frozen=True, kw_only=True)
class ConfidentError(Mistake):
    """One wrong answer of those that the model was most sure of.

    Attributes:
        near_duplicate: Class under which the very same file stands in the training split;
            empty if none.
    """

    near_duplicate: str = ""


@dataclass(frozen=True)
class Confusion:
    """`count` of the `of` test images of class `true` were called `predicted`."""

    true: str
    predicted: str
    count: int
    of: int


@dataclass(frozen=True, kw_only=True)
class StageCalibration:
    """How sure the model of one stage is against how right.

    Attributes:
        stage: `frozen` or `finetuned`.
        sure: Mean probability of its first answer.
        right: Share of them that is right, with Wilson's 95% interval.
        error: Expected calibration error in [0, 1] (Naeini et al. 2015).
        direction: Which way it errs, in words.
    """

    stage: str
    sure: float
    right: Estimate
    error: float
    direction: str


@dataclass(frozen=True, kw_only=True)
class MistakeFacts:
    """The errors of one run on the test images.

    Attributes:
        stage: `finetuned`, or `frozen` where only that was predicted.
        pairs: The pairs confused most, both directions together.
        bins: Of the reliability table, those that hold images.
        calibration_error: Expected calibration error in [0, 1] of `stage`.
        calibrations: How sure each stage is against how right, frozen first.
        gains: Recall by class before and after fine-tuning; empty unless both predicted.
        matrix: (true label, predicted label, count) of every pair that occurred.
        confusions: The wrong cells of `matrix`, by name, most first.
        groups: Accuracy by each property of the classes that is known.
        changed: Frozen against fine-tuned, image by image, where both predicted.
    """

    run: str
    stage: str
    images: int
    wrong: int
    pairs: tuple[MutualPair, ...]
    worst: tuple[ConfidentError, ...]
    bins: tuple[ReliabilityBin, ...]
    calibration_error: float
    calibrations: tuple[StageCalibration, ...]
    gains: tuple[ClassChange, ...]
    matrix: tuple[tuple[int, int, int], ...]
    confusions: tuple[Confusion, ...]
    groups: dict[str, tuple[GroupScore, ...]]
    changed: McNemar | None


def facts(inputs: Inputs, pairs: int = MOST_PAIRS, worst: int = MOST_ERRORS) -> MistakeFacts | None:
    """Judge the best run's answers to the test images; `None` where there are none yet.

    Args:
        inputs: What earlier stages wrote.
        pairs: Most confused pairs kept.
        worst: Confident errors kept.
    """
    judged = _judged(inputs)
    if inputs.run is None or not judged:
        return None
    stage, best = list(judged.items())[-1]
    changed = _changed(inputs)
    return MistakeFacts(
        run=inputs.run.name,
        stage=stage,
        images=best.score.n,
        wrong=len(best.mistakes),
        pairs=best.mutual[:pairs],
        worst=_worst(inputs, best.mistakes[:worst]),
        bins=tuple(item for item in best.calibration.reliability if item.n),
        calibration_error=best.calibration.expected_calibration_error,
        calibrations=tuple(_calibration(name, item.calibration) for name, item in judged.items()),
        gains=changed.classes if changed else (),
        matrix=best.cells,
        confusions=tuple(map(_confusion, best.confused)),
        groups=best.groups,
        changed=McNemar(changed.only_before, changed.only_after, changed.p_value)
        if changed
        else None,
    )


def _judged(inputs: Inputs) -> dict[str, Assessment]:
    """The chosen run's answers to the test images, frozen before fine-tuned."""
    answers = {stage: inputs.answers(stage, "test") for stage in ("frozen", "finetuned")}
    groups = inputs.dataset.card.groups if inputs.dataset else None
    return {
        stage: assess(found, inputs.class_names, groups)
        for stage, found in answers.items()
        if found
    }


def _changed(inputs: Inputs) -> AnswersChanged | None:
    before = inputs.answers("frozen", "test")
    after = inputs.answers("finetuned", "test")
    return answers_changed(before, after) if before and after else None


def _worst(inputs: Inputs, mistakes: tuple[Mistake, ...]) -> tuple[ConfidentError, ...]:
    """With the training class, or classes, of those that are training images as well."""
    dataset = inputs.dataset
    learnt = dataset.labels_elsewhere("test", "train") if dataset else {}
    return tuple(
        ConfidentError(**asdict(item), near_duplicate=" and ".join(learnt.get(item.image_id, [])))
        for item in mistakes
    )


def _calibration(stage: str, found: Calibration) -> StageCalibration:
    return StageCalibration(
        stage=stage,
        sure=found.sure,
        right=found.right,
        error=found.expected_calibration_error,
        direction=found.direction,
    )


def _confusion(pair: ConfusedPair) -> Confusion:
    return Confusion(pair.true, pair.predicted, pair.count, pair.of)


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
