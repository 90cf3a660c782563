"""What the model gets wrong on the test images, and whether it knows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from matplotlib.figure import Figure

from cars_bench.evaluation.assessment import Assessment, assess
from cars_bench.evaluation.calibration import Calibration, ReliabilityBin
from cars_bench.evaluation.comparison import AnswersChanged, ClassChange, answers_changed
from cars_bench.evaluation.confusion import ConfusedPair, Mistake, MutualPair, clustered_order
from cars_bench.evaluation.groups import GroupScore
from cars_bench.evaluation.metrics import Estimate, McNemar
from cars_bench.finetune.runs import FINETUNED, STAGES, Stage
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.svg import BLUE, MUTED, VERMILLION, Figures, draw, percent_axis, plain_axes
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
        model: The same in words.
        sure: Mean probability of its first answer.
        right: Share of them that is right, with Wilson's 95% interval.
        error: Expected calibration error in [0, 1] (Naeini et al. 2015).
        chance: Error that so many images show by chance alone.
        direction: What may be said of it, in words.
    """

    stage: str
    model: str
    sure: float
    right: Estimate
    error: float
    chance: float
    direction: str


@dataclass(frozen=True, kw_only=True)
class Cooled:
    """The finished model with its temperature.

    Attributes:
        temperature: What its logits are divided by.
        images: Validation images that it was fitted on.
        fitted: Calibration on these without it and with it.
        tested: The same on the test images; `None` where it was not measured there.
        bins: Of the reliability table with it on the test images, those that hold images.
    """

    temperature: float
    images: int
    fitted: tuple[StageCalibration, StageCalibration]
    tested: tuple[StageCalibration, StageCalibration] | None
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, kw_only=True)
class MistakeFacts:
    """The errors on the test images.

    Attributes:
        run: The run; empty where only the winner was evaluated.
        stage: `finetuned`, or `frozen` where only that was predicted.
        model: The same in words.
        pairs: The pairs confused most, both directions together.
        bins: Of the reliability table, those that hold images.
        calibration_error: Expected calibration error in [0, 1] of `stage`.
        calibrations: How sure each stage is against how right, frozen first.
        cooled: The finished model with its temperature; `None` where it has none.
        uncooled: Why it has none; empty where it has one, or nothing is finished.
        gains: Recall by class before and after fine-tuning; empty unless both predicted.
        matrix: (true label, predicted label, count) of every pair that occurred.
        order: Labels such that those taken for each other stand side by side.
        confusions: The wrong cells of `matrix`, by name, most first.
        groups: Accuracy by each property of the classes that is known.
        changed: Frozen against fine-tuned, image by image, where both predicted.
    """

    run: str
    stage: str
    model: str
    images: int
    wrong: int
    pairs: tuple[MutualPair, ...]
    worst: tuple[ConfidentError, ...]
    bins: tuple[ReliabilityBin, ...]
    calibration_error: float
    calibrations: tuple[StageCalibration, ...]
    cooled: Cooled | None
    uncooled: str
    gains: tuple[ClassChange, ...]
    matrix: tuple[tuple[int, int, int], ...]
    order: tuple[int, ...]
    confusions: tuple[Confusion, ...]
    groups: dict[str, tuple[GroupScore, ...]]
    changed: McNemar | None


def facts(inputs: Inputs, pairs: int = MOST_PAIRS, worst: int = MOST_ERRORS) -> MistakeFacts | None:
    """Judge the answers to the test images; `None` where there are none yet.

    Those of the chosen run, or of the winner where nothing was fine-tuned.

    Args:
        inputs: What earlier stages wrote.
        pairs: Most confused pairs kept.
        worst: Confident errors kept.
    """
    judged = _judged(inputs)
    if not judged:
        return None
    stage, best = list(judged.items())[-1]
    changed = _changed(inputs)
    return MistakeFacts(
        run=inputs.run.name if inputs.run else "",
        stage=stage,
        model=inputs.called(stage),
        images=best.score.n,
        wrong=len(best.mistakes),
        pairs=best.mutual[:pairs],
        worst=_worst(inputs, best.mistakes[:worst]),
        bins=tuple(item for item in best.calibration.reliability if item.n),
        calibration_error=best.calibration.expected_calibration_error,
        calibrations=tuple(
            _calibration(inputs, name, item.calibration) for name, item in judged.items()
        ),
        cooled=_cooled(inputs),
        uncooled=inputs.run.record.without_temperature if inputs.run else "",
        gains=changed.classes if changed else (),
        matrix=best.cells,
        order=clustered_order(best.cells, len(inputs.class_names)),
        confusions=tuple(map(_confusion, best.confused)),
        groups=best.groups,
        changed=McNemar(changed.only_before, changed.only_after, changed.p_value)
        if changed
        else None,
    )


def _judged(inputs: Inputs) -> dict[Stage, Assessment]:
    """The answers to the test images, frozen before fine-tuned."""
    answers = {stage: inputs.answers(stage, "test") for stage in STAGES}
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


def _calibration(inputs: Inputs, stage: Stage, found: Calibration) -> StageCalibration:
    return StageCalibration(
        stage=stage,
        model=inputs.called(stage),
        sure=found.sure,
        right=found.right,
        error=found.expected_calibration_error,
        chance=found.chance,
        direction=found.direction,
    )


def _cooled(inputs: Inputs) -> Cooled | None:
    """What the temperature of the chosen run does."""
    fitted = inputs.run.record.temperature if inputs.run else None
    if fitted is None:
        return None
    pairs = {
        split: (
            _calibration(inputs, FINETUNED, fitted.before[split]),
            _calibration(inputs, FINETUNED, after),
        )
        for split, after in fitted.after.items()
    }
    tested = fitted.after.get("test")
    return Cooled(
        temperature=fitted.value,
        images=fitted.images,
        fitted=pairs["val"],
        tested=pairs.get("test"),
        bins=tuple(item for item in tested.reliability if item.n) if tested else (),
    )


def _confusion(pair: ConfusedPair) -> Confusion:
    return Confusion(pair.true, pair.predicted, pair.count, pair.of)


def figure(mistakes: MistakeFacts) -> Figures:
    """Confidence against accuracy; the diagonal is a model that knows how sure to be."""
    bins = mistakes.bins
    cooled = mistakes.cooled.bins if mistakes.cooled else ()

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "the model's own probability", "share right")
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
        width = [b.high - b.low for b in bins]
        axes.bar([b.low for b in bins], [b.accuracy for b in bins], width, align="edge",
                 color=BLUE, alpha=0.35, edgecolor=BLUE)  # fmt: skip
        axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color=BLUE,
                  clip_on=False, label="as it is")  # fmt: skip
        if cooled:
            axes.plot([b.confidence for b in cooled], [b.accuracy for b in cooled], "D-",
                      color=VERMILLION, markersize=4, linewidth=1, clip_on=False,
                      label="with its temperature")  # fmt: skip
            figure.legend(loc="outside upper left", ncols=2, fontsize=8.5)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        percent_axis(axes, "x")
        percent_axis(axes)

    said = "; ".join(
        f"{item.model}: {percent(item.sure, 0)} sure, {percent(item.right.value, 0)} right"
        for item in mistakes.calibrations
    )
    drawn = draw("reliability", "Reliability diagram", said + ".", paint, width=4.6, height=3.4)
    return {"reliability": drawn}


def table(mistakes: MistakeFacts) -> Tables:
    """One row a bin of the model's own probability, as it is and with its temperature."""
    rows = [("as it is", *_bin(item)) for item in mistakes.bins]
    if mistakes.cooled:
        rows += [("with its temperature", *_bin(item)) for item in mistakes.cooled.bins]
    headings = ("Model", "Probability", "Images", "Mean probability", "Share right")
    return {"reliability": Table(headings, tuple(rows))}


def _bin(item: ReliabilityBin) -> tuple[str, str, str, str]:
    return (
        interval(item.low, item.high, 0),
        f"{item.n:,}",
        percent(item.confidence),
        percent(item.accuracy),
    )
