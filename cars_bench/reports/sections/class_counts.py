"""Which class needs more pictures: accuracy against count, and what a doubling would bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from cars_bench.evaluation.assessment import assess
from cars_bench.evaluation.class_gains import ClassGain, Doubling, last_doubling
from cars_bench.evaluation.confusion import ClassRecall
from cars_bench.evaluation.label_check import standardised
from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.runs import STAGES, Stage
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.svg import BLUE, PHONE_WIDTH, Figures, draw, percent_axis, plain_axes
from cars_bench.reports.words import Table, Tables, count, interval, percent

SPREAD = 1.5
"""The largest class over the smallest, from which a figure of counts shows anything."""
MOST_WHISKERS = 60


@dataclass(frozen=True, kw_only=True)
class ClassNeed:
    """One class.

    Attributes:
        name: Of the class.
        train: Its training pictures.
        recall: Share of its test images that the model names right, with Wilson's 95%
            interval; `None` where no model has answered.
        n: Its test images.
        gain: What twice the pictures are expected to bring, as a share, with its 95% interval;
            `None` where it was not judged.
    """

    name: str
    train: int
    recall: Estimate | None
    n: int
    gain: Estimate | None


@dataclass(frozen=True, kw_only=True)
class CountFacts:
    """Accuracy against count.

    Attributes:
        classes: The most gaining first, then the worst named.
        doubling: What the last doubling was worth on the cached features; `None` without any.
        stage: Of the model whose recall it is; empty where none has answered.
        model: What that model is called.
    """

    classes: tuple[ClassNeed, ...]
    doubling: Doubling | None
    stage: str
    model: str = ""

    @property
    def uneven(self) -> bool:
        """Whether classes differ enough in their counts for a figure to show anything."""
        counts = [item.train for item in self.measured]
        return len(counts) > 1 and max(counts) >= SPREAD * max(min(counts), 1)

    @property
    def measured(self) -> list[ClassNeed]:
        """Those with training pictures whose accuracy is known."""
        return [item for item in self.classes if item.recall and item.train]


def facts(inputs: Inputs) -> CountFacts | None:
    """Hold every class's count against its accuracy; `None` where nothing is known of either."""
    doubling = _doubling(inputs)
    stage, recalls = _recalls(inputs)
    if inputs.dataset is None or (doubling is None and not recalls):
        return None
    counts = inputs.dataset.counts()
    gains = {item.label: item for item in doubling.classes} if doubling else {}
    classes = [
        _need(name, counts[name]["train"], recalls.get(name), gains.get(label))
        for label, name in enumerate(inputs.class_names)
        if name in counts
    ]
    return CountFacts(
        classes=tuple(sorted(classes, key=_order)),
        doubling=doubling,
        stage=stage,
        model=inputs.called(stage) if stage else "",
    )


def _doubling(inputs: Inputs) -> Doubling | None:
    found = inputs.features
    said = inputs.out_of_sample
    if found is None or said is None:
        return None
    taught = np.array(found.splits) == "train"
    return last_doubling(standardised(found.x), found.labels, taught, said.penalty)


def _recalls(inputs: Inputs) -> tuple[Stage | Literal[""], dict[str, ClassRecall]]:
    """Of the best model that has answered the test images."""
    for stage in reversed(STAGES):
        answers = inputs.answers(stage, "test")
        if answers:
            found = assess(answers, inputs.class_names).classes
            return stage, {row.name: row for row in found}
    return "", {}


def _need(name: str, train: int, recall: ClassRecall | None, gain: ClassGain | None) -> ClassNeed:
    return ClassNeed(
        name=name,
        train=train,
        recall=recall.recall if recall else None,
        n=recall.n if recall else 0,
        gain=gain.gain if gain else None,
    )


def _order(item: ClassNeed) -> tuple[float, float, str]:
    return (
        -item.gain.value if item.gain else 1.0,
        item.recall.value if item.recall else 1.0,
        item.name,
    )


def figure(facts: CountFacts) -> Figures:
    """Recall of every class against its training pictures, where they differ in number."""
    if not facts.uneven:
        return {}
    shown = facts.measured
    whiskers = len(shown) <= MOST_WHISKERS

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "training pictures of the class", "test images named right")
        for item in shown:
            if item.recall and whiskers:
                ends = [item.recall.low, item.recall.high]
                axes.plot([item.train] * 2, ends, color=BLUE, alpha=0.3, linewidth=1.6)
        values = [item.recall.value for item in shown if item.recall]
        axes.plot([item.train for item in shown], values, "o", color=BLUE, markersize=5, alpha=0.7)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(ticks(shown)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
        axes.set_ylim(-0.03, 1.03)
        percent_axis(axes)

    said = f"{len(shown)} classes by training pictures and share of test images named right."
    drawn = draw("counts", "Accuracy against count", said, paint, PHONE_WIDTH, 3.0)
    return {"counts": drawn}


def ticks(shown: list[ClassNeed]) -> list[int]:
    """Three counts: the smallest, the largest, and one between them."""
    counts = sorted(item.train for item in shown)
    middle = round((counts[0] * counts[-1]) ** 0.5)
    return sorted({counts[0], middle, counts[-1]})


def table(facts: CountFacts) -> Tables:
    """The numbers of the figure."""
    if not facts.uneven:
        return {}
    rows = tuple(
        (item.name, count(item.train), count(item.n), percent(item.recall.value),
         interval(item.recall.low, item.recall.high))
        for item in facts.measured
        if item.recall
    )  # fmt: skip
    headings = ("Class", "Training pictures", "Test images", "Named right", "95% interval")
    return {"counts": Table(headings, rows)}
