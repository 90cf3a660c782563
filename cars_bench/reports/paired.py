"""Two studies' answers: image by image where the images are the same, and class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cars_bench.evaluation.metrics import mcnemar, paired_bootstrap
from cars_bench.reports.inputs import Sources
from cars_bench.reports.mistakes import Gain, recall_changes
from cars_bench.tuning.ranking import unpack

PLACES = (("finetuned", "test"), ("frozen", "test"), ("finetuned", "val"), ("frozen", "val"))


@dataclass(frozen=True)
class Paired:
    """Second less first, on the same images.

    Attributes:
        stage: `frozen` or `finetuned`.
        split: `val` or `test`.
        images: How many both answered.
        difference: Of top-1, in [-1, 1]; `low`..`high` is its 95% paired bootstrap interval.
        only_first: Images that only the first names right.
        only_second: Images that only the second names right.
        p_value: McNemar's exact test.
    """

    stage: str
    split: str
    images: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p_value: float

    @property
    def settled(self) -> bool:
        """Whether the interval leaves out no difference at all."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Unpaired:
    """Both measured it, but on other images, `common` of which are the same."""

    stage: str
    split: str
    first: int
    second: int
    common: int


@dataclass(frozen=True)
class PairedFacts:
    """What two studies answered, test before validation and fine-tuned before frozen.

    Attributes:
        classes: Recall by class that both know, biggest gain first, of `stage` on `split`.
    """

    rows: tuple[Paired, ...]
    unlike: tuple[Unpaired, ...]
    classes: tuple[Gain, ...]
    stage: str
    split: str


def paired_facts(first: Sources, second: Sources) -> PairedFacts:
    """Compare wherever both measured the same stage on the same split."""
    rows, unlike, classes = [], [], []
    compared: tuple[str, str] | None = None
    for stage, split in PLACES:
        one, other = (answers(side, stage, split) for side in (first, second))
        if one is None or other is None:
            continue
        if compared is None:
            compared, classes = (stage, split), recall_changes(one, other)
        if _same(one, other):
            rows.append(pair(one, other, stage, split))
        else:
            common = len(one.index.intersection(other.index))
            unlike.append(Unpaired(stage, split, len(one), len(other), common))
    return PairedFacts(tuple(rows), tuple(unlike), tuple(classes), *(compared or ("", "")))


def answers(sources: Sources, stage: str, split: str) -> pd.DataFrame | None:
    """Which images were named right: columns `true` and `right`, by image, in that order.

    From the chosen run's predictions; of a frozen head that was not finished yet from the
    search's ledger, which keeps them for the validation images.
    """
    tables = sources.run.predictions if sources.run else {}
    table = tables.get(split + "-frozen" * (stage == "frozen"))
    if table is not None:
        named = pd.DataFrame({"true": table["true"], "right": table["pred1"] == table["true"]})
        return named.set_axis(table["image_id"].to_list()).sort_index()
    return _searched(sources) if (stage, split) == ("frozen", "val") else None


def _searched(sources: Sources) -> pd.DataFrame | None:
    winner, dataset = sources.winner, sources.dataset
    if winner is None or dataset is None or not winner.correct:
        return None
    rows, right = dataset.split("val"), unpack(winner.correct)
    if len(rows) != len(right):
        return None
    named = pd.DataFrame({"true": rows["class_name"].to_list(), "right": right})
    return named.set_axis(rows["image_id"].to_list()).sort_index()


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one.index.equals(other.index) and bool((one["true"] == other["true"]).all())


def pair(one: pd.DataFrame, other: pd.DataFrame, stage: str, split: str) -> Paired:
    """Compare answers on the same images in the same order."""
    before, after = (np.asarray(table["right"], bool) for table in (one, other))
    estimate, changed = paired_bootstrap(before, after), mcnemar(before, after)
    return Paired(
        stage=stage,
        split=split,
        images=len(before),
        difference=estimate.value,
        low=estimate.low,
        high=estimate.high,
        only_first=changed.only_first,
        only_second=changed.only_second,
        p_value=changed.p_value,
    )
