"""How often each class is drawn, where a training drew the classes evenly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cars_bench.progress import plural
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.svg import BLUE, VERMILLION, Figures, draw, plain_axes
from cars_bench.reports.words import Table, Tables, count
from cars_bench.training.batches import class_draws
from cars_bench.training.specs import SAMPLINGS, TrainingSpec

DRAWS = 10_000
BALANCED = "balanced"


@dataclass(frozen=True)
class ClassDraws:
    """One class: its training images, and how often it is drawn by each sampling."""

    name: str
    train: int
    uniform: int
    balanced: int


@dataclass(frozen=True)
class Spread:
    """Fewest, median and most draws of a class."""

    low: int
    median: float
    high: int


@dataclass(frozen=True, kw_only=True)
class SamplingFacts:
    """Both samplings side by side.

    Attributes:
        draws: Images drawn by each.
        who: What drew balanced, in words.
        classes: Those with training images, the largest first.
        uniform: Every image has the same chance.
        balanced: Every class has the same chance.
    """

    draws: int
    who: tuple[str, ...]
    classes: tuple[ClassDraws, ...]
    uniform: Spread
    balanced: Spread


def facts(inputs: Inputs, draws: int = DRAWS) -> SamplingFacts | None:
    """Draw as the trainings do; `None` where none drew balanced, or the images are not here."""
    who = tuple(_who(inputs))
    if not who or inputs.dataset is None:
        return None
    labels = np.array([record.label for record in inputs.dataset.records("train")], np.int64)
    if not labels.size:
        return None
    drawn = {name: class_draws(TrainingSpec(sampling=name), labels, draws) for name in SAMPLINGS}
    sizes = np.bincount(labels)
    order = sorted(np.flatnonzero(sizes), key=lambda label: (-sizes[label], label))
    classes = [
        ClassDraws(
            inputs.dataset.class_names[label],
            int(sizes[label]),
            *(int(drawn[name][label]) for name in SAMPLINGS),
        )
        for label in order
    ]
    return SamplingFacts(
        draws=draws,
        who=who,
        classes=tuple(classes),
        uniform=_spread(item.uniform for item in classes),
        balanced=_spread(item.balanced for item in classes),
    )


def _who(inputs: Inputs) -> list[str]:
    """Trials and runs that drew balanced."""
    trained = [trial for trial in inputs.trials if trial.training]
    trials = [trial for trial in trained if trial.training and trial.training.sampling == BALANCED]
    runs = [run.name for run in inputs.runs if run.record.training.sampling == BALANCED]
    found = [f"{plural(len(trials), 'trial')} of {len(trained):,}"] if trials else []
    return found + [f"the run {name}" for name in runs]


def _spread(drawn: Iterable[int]) -> Spread:
    values = np.array(list(drawn))
    return Spread(int(values.min()), float(np.median(values)), int(values.max()))


def figure(sampling: SamplingFacts) -> Figures:
    """Draws of every class, the largest class first."""
    places = np.arange(len(sampling.classes) + 1)

    def paint(figure: Figure) -> None:
        axes = plain_axes(figure, "class, the largest first", f"draws of {sampling.draws:,}")
        for name, colour, dash in zip(SAMPLINGS, (BLUE, VERMILLION), ("-", "--"), strict=True):
            values = [getattr(item, name) for item in sampling.classes]
            axes.stairs(values, places + 0.5, baseline=None, color=colour, linestyle=dash,
                        linewidth=1.4, label=name)  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_xlim(0.5, len(sampling.classes) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper left", ncols=2, fontsize=8.5)

    said = "; ".join(
        f"{name}: {spread.low:,} to {spread.high:,} draws of a class"
        for name, spread in (("uniform", sampling.uniform), (BALANCED, sampling.balanced))
    )
    return {"draws": draw("draws", "Draws of each class", said + ".", paint, height=2.8)}


def table(sampling: SamplingFacts) -> Tables:
    """The numbers of the figure."""
    rows = tuple(
        (item.name, count(item.train), count(item.uniform), count(item.balanced))
        for item in sampling.classes
    )
    return {"draws": Table(("Class", "Training images", "Uniform", "Balanced"), rows)}
