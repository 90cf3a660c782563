"""The top of the report: who won, by how much, at what cost, what to doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from shlex import quote

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.gain import Gain, frozen_command
from cars_bench.finetune.runs import FINETUNED, FROZEN, Run, Stage
from cars_bench.progress import plural
from cars_bench.reports.accuracies import Baseline, accuracies, label_of, measured, on_board
from cars_bench.reports.cautions import Caution, cautions
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.svg import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PAPER,
    PHONE_WIDTH,
    PURPLE,
    Figures,
    draw,
    share_rows,
)
from cars_bench.reports.words import Table, Tables, count, interval, percent, probe_name

KIND_COLOURS = {"chance": MUTED, "probe": PURPLE, "frozen": BLUE, "finetuned": GREEN}
MARKERS = {"chance": "|", "probe": "D", "frozen": "o", "finetuned": "s"}


@dataclass(frozen=True, kw_only=True)
class Paid:
    """Whether fine-tuning paid: the finished model less the frozen head, image by image.

    Attributes:
        split: `test`, or `val` where the test images were not read.
        images: How many both answered.
        difference: Of top-1, in [-1, 1], with its 95% paired bootstrap interval.
        only_frozen: Images that only the frozen head names right.
        only_finetuned: Images that only the finished model names right.
        p_value: McNemar's exact test.
        paid: It is better for certain.
        recommended: What to use: `finetuned` where it paid, else `frozen`.
    """

    split: str
    images: int
    difference: Estimate
    only_frozen: int
    only_finetuned: int
    p_value: float
    paid: bool
    recommended: Stage


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer in one sentence, the ladder behind it, the cost and the doubts.

    Attributes:
        stage: `prepared`, `extracted`, `tuned` or `finetuned`: the last stage that left a result.
        cost_seconds: Wall time by stage, for the stages that recorded it.
        next_command: What makes the next missing part; empty when nothing is missing.
        finetuning: Whether it paid; `None` before it, and where nothing was trained.
        choice: What fine-tuning makes of the choice among the heads; empty where it was not
            measured.
    """

    stage: str
    headline: str
    baselines: tuple[Baseline, ...]
    cost_seconds: dict[str, float]
    warnings: tuple[Caution, ...]
    next_command: str
    finetuning: Paid | None = None
    choice: str = ""

    def best(self, kind: str, split: str) -> Baseline | None:
        """The best accuracy of a kind on a split."""
        found = [item for item in self.baselines if (item.kind, item.split) == (kind, split)]
        return max(found, key=lambda item: item.value, default=None)


def facts(inputs: Inputs, seen: Sequence[str] = ()) -> Verdict:
    """Sum up a study, however far it has come.

    Args:
        inputs: The study.
        seen: Test images that look like a training or validation image.
    """
    baselines = tuple(_baselines(inputs))
    stage = _stage(inputs)
    gain = inputs.gain
    return Verdict(
        stage=stage,
        headline=_headline(inputs, stage, gain, baselines, _unseen(inputs, seen)),
        baselines=baselines,
        cost_seconds=_costs(inputs),
        warnings=tuple(cautions(inputs, seen)),
        next_command=_next(inputs, stage, gain),
        finetuning=_paid(gain) if gain else None,
        choice=inputs.cache_fidelity.advice if inputs.cache_fidelity else "",
    )


def _paid(gain: Gain) -> Paid:
    changed = gain.changed
    return Paid(
        split=gain.split,
        images=changed.images,
        difference=changed.difference,
        only_frozen=changed.only_before,
        only_finetuned=changed.only_after,
        p_value=changed.p_value,
        paid=gain.paid,
        recommended=gain.recommended,
    )


def _stage(inputs: Inputs) -> str:
    if inputs.run and inputs.run.score("finetuned", "test"):
        return "finetuned"
    if inputs.winner is not None:
        return "tuned"
    return "extracted" if inputs.manifest else "prepared"


def _baselines(inputs: Inputs) -> list[Baseline]:
    found = [_chance(inputs.class_names)] if inputs.class_names else []
    found += [on_board(probe_name(row.trial_id), row) for row in reversed(inputs.probes)]
    if inputs.run:
        return found + accuracies(inputs, inputs.run)
    if inputs.winner is None:
        return found
    label = label_of(inputs, inputs.winner.trial_id)
    found.append(replace(on_board(label, inputs.winner), n=_validation_images(inputs)))
    test = inputs.score(FROZEN, "test")
    return found + ([measured(label, FROZEN, "test", test)] if test else [])


def _validation_images(inputs: Inputs) -> int:
    return len(inputs.dataset.records("val")) if inputs.dataset else 0


def _chance(class_names: list[str]) -> Baseline:
    share = 1 / len(class_names)
    return Baseline(label="Chance", kind="chance", split="val", value=share, low=share, high=share)


def _headline(
    inputs: Inputs,
    stage: str,
    gain: Gain | None,
    baselines: tuple[Baseline, ...],
    unseen: bool,
) -> str:
    by_place = {(baseline.kind, baseline.split): baseline for baseline in baselines}
    if gain:
        return _gain_sentence(inputs, gain, by_place, unseen)
    tested = by_place.get((FINETUNED, "test")) or by_place.get((FROZEN, "test"))
    if tested:
        return (
            f"The {inputs.called(FINETUNED if tested.kind == FINETUNED else FROZEN)} names "
            f"{percent(tested.value)} of {_test_images(tested.n, unseen)} right at the first guess."
        )
    if stage == "tuned" and inputs.winner:
        trials = sum(row.kind == "trial" for row in inputs.ranked)
        best = by_place[FROZEN, "val"]
        return (
            f"The {inputs.called(FROZEN)}, chosen from "
            f"{plural(trials, 'network' if inputs.from_scratch else 'head')}, reaches "
            f"{percent(best.value)} on the validation images."
        )
    if stage == "extracted" and inputs.manifest:
        return f"{inputs.manifest.records:,} features are cached and no head has been tried yet."
    images = len(inputs.dataset.images) if inputs.dataset else 0
    return f"{images:,} images are prepared and no features have been extracted yet."


def _gain_sentence(
    inputs: Inputs, gain: Gain, by_place: dict[tuple[str, str], Baseline], unseen: bool
) -> str:
    """Whether fine-tuning paid, by how much, and what to use."""
    name = inputs.called(gain.recommended)
    found = by_place.get((gain.recommended, gain.split))
    used = f"The {name}" if gain.paid else f"Keep the {name}, which"
    right = f" names {percent(found.value)} of them right at the first guess" if found else ""
    said = gain.said(_gain_images(gain, unseen))
    return f"{said} {used}{right}." if right else said


def _gain_images(gain: Gain, unseen: bool) -> str:
    images = gain.changed.images
    if gain.split == "test":
        return _test_images(images, unseen)
    return f"the {images:,} validation images, on which its epoch was chosen,"


def _unseen(inputs: Inputs, seen: Sequence[str]) -> bool:
    """Whether the test images are known to be new: no copy, and none that looks like one."""
    data = inputs.dataset
    return data is not None and not seen and not data.labels_elsewhere("test", "train")


def _test_images(count: int, unseen: bool) -> str:
    """How many images the test accuracy is of; `unseen` only where that is known to be so."""
    return f"{count:,} {'unseen ' if unseen else ''}test images"


def _costs(inputs: Inputs) -> dict[str, float]:
    costs = {}
    if inputs.cost.images:
        costs["extract"] = inputs.cost.seconds
    if inputs.search_seconds:
        costs["search"] = inputs.search_seconds
    finished = sum(run.record.seconds for run in inputs.runs)
    if finished:
        costs["finetune"] = finished
    return costs


def _next(inputs: Inputs, stage: str, gain: Gain | None) -> str:
    if gain and inputs.run:
        return _use(inputs, inputs.run, gain)
    command = {
        "prepared": "cars-bench extract",
        "extracted": "cars-bench tune --trials 100",
        "tuned": "cars-bench finetune --best",
    }.get(stage, "")
    if stage == "tuned" and inputs.study:
        return f"{command} --study {quote(inputs.study.name)}"
    return command


def _use(inputs: Inputs, run: Run, gain: Gain) -> str:
    """The test images, where they decide; else how the frozen head becomes a whole model."""
    study = run.record.study
    if gain.split == "val":
        return f"cars-bench evaluate --model {quote(f'{study}/{run.name}')}"
    if gain.paid:
        return ""
    trial = run.record.trial_id
    whole = [
        other.name
        for other in inputs.runs
        if other.record.trial_id == trial and not other.record.epochs and other.record.warm_up
    ]
    if whole:
        return f"cars-bench predict PHOTOS --model {quote(f'{study}/{whole[0]}')}"
    return frozen_command(run.record)


def figure(facts: Verdict) -> Figures:
    """Every accuracy on one axis with its 95% interval: open marks validation, filled ones test."""
    shown = facts.baselines
    if not shown:
        return {}

    def paint(figure: Figure) -> None:
        axes = share_rows(figure, "top-1 accuracy", [_label(item) for item in shown])
        for place, item in enumerate(shown):
            _mark(axes, place, item)
        axes.set_xlim(0, min(1.0, max(item.high for item in shown) + 0.12))

    said = "; ".join(f"{_label(item)} {percent(item.value)}" for item in shown)
    drawn = draw(
        "ladder",
        "From chance to the finished model",
        said + ".",
        paint,
        width=PHONE_WIDTH,
        height=0.75 + 0.33 * len(shown),
    )
    return {"ladder": drawn}


def _mark(axes: Axes, place: int, item: Baseline) -> None:
    colour = KIND_COLOURS[item.kind]
    axes.plot([item.low, item.high], [place, place], color=colour, linewidth=2.2, alpha=0.55)
    face = colour if item.split == "test" else PAPER
    axes.plot(item.value, place, MARKERS[item.kind], color=colour, markerfacecolor=face,
              markersize=7, markeredgewidth=1.8)  # fmt: skip
    axes.annotate(percent(item.value), (max(item.high, item.value), place), xytext=(8, 0),
                  textcoords="offset points", va="center", color=INK)  # fmt: skip


def _label(item: Baseline) -> str:
    return item.label if item.kind == "chance" else f"{item.label}, {item.split}"


def table(facts: Verdict) -> Tables:
    """Every accuracy, the last one first."""
    headings = ("What", "Split", "Top-1", "95% interval", "Top-5", "Images")
    rows = tuple(map(_cells, reversed(facts.baselines)))
    return {"ladder": Table(headings, rows, words=(0, 1))}


def _cells(item: Baseline) -> tuple[str, ...]:
    measured = item.kind != "chance"
    return (
        item.label,
        item.split if measured else "any",
        percent(item.value, 2),
        interval(item.low, item.high, 2) if measured else "",
        percent(item.top5[0], 2) if item.top5 else "",
        count(item.n) if item.n else "",
    )
