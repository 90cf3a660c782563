"""Two studies side by side, as plain facts: accuracies, caches, winners, answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.documents import to_json
from cars_bench.evaluation.metrics import mcnemar, paired_bootstrap
from cars_bench.reports.inputs import Inputs, Json
from cars_bench.reports.sections import data, features, verdict
from cars_bench.reports.sections.errors import Gain, recall_changes
from cars_bench.reports.sections.search import head_words
from cars_bench.reports.sections.verdict import Baseline, Verdict
from cars_bench.reports.words import percent, short
from cars_bench.tuning.ranking import unpack

MEASURES = (
    ("probe", "val", "Best probe"),
    ("frozen", "val", "Frozen, best head"),
    ("frozen", "test", "Frozen, best head"),
    ("finetuned", "val", "Fine-tuned"),
    ("finetuned", "test", "Fine-tuned"),
)
PLACES = (("finetuned", "test"), ("frozen", "test"), ("finetuned", "val"), ("frozen", "val"))


@dataclass(frozen=True)
class Measure:
    """One accuracy of both studies; `None` where it was not measured."""

    label: str
    kind: str
    split: str
    first: Baseline | None
    second: Baseline | None


@dataclass(frozen=True)
class Line:
    """One property of both studies, as people read it; empty where there is none."""

    name: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.first != self.second


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


@dataclass(frozen=True)
class Comparison:
    """Two studies side by side; `compare.json` is this.

    Attributes:
        measures: Those that at least one study measured.
        data: Properties of the datasets.
        caches: Properties of the caches.
        winners: The specs of the winners and how they were found.
    """

    names: tuple[str, str]
    headline: str
    measures: tuple[Measure, ...]
    data: tuple[Line, ...]
    caches: tuple[Line, ...]
    winners: tuple[Line, ...]
    answers: PairedFacts

    @property
    def title(self) -> str:
        """Both names in words."""
        return " against ".join(self.names)

    def to_json(self) -> Json:
        """Plain JSON values."""
        kept = {"schema_version": SCHEMA_VERSION, "cars_bench": __version__, "title": self.title}
        return kept | asdict(self)


def compare(first: Inputs, second: Inputs) -> Comparison:
    """Lay two studies side by side; everything that only one of them has stays."""
    sides = (first, second)
    measures = tuple(_measures(*map(verdict.facts, sides)))
    answers = paired_facts(first, second)
    names = (str(first.study_name), str(second.study_name))
    return Comparison(
        names=names,
        headline=_headline(names, measures, answers),
        measures=measures,
        data=lines(*map(_data, sides)),
        caches=lines(*map(_cache, sides)),
        winners=lines(*map(_winner, sides)),
        answers=answers,
    )


def _measures(first: Verdict, second: Verdict) -> Iterator[Measure]:
    for kind, split, label in MEASURES:
        one, other = first.best(kind, split), second.best(kind, split)
        if one or other:
            yield Measure(label, kind, split, one, other)


def lines(first: dict[str, str], second: dict[str, str]) -> tuple[Line, ...]:
    """Every name that either has, in the order of the first and then the second."""
    names = dict.fromkeys([*first, *second])
    return tuple(Line(name, first.get(name, ""), second.get(name, "")) for name in names)


def _headline(names: tuple[str, str], measures: tuple[Measure, ...], answers: PairedFacts) -> str:
    both = [item for item in measures if item.first and item.second and item.kind != "probe"]
    if not both:
        return "The two studies have no measured accuracy in common yet."
    last = max(both, key=lambda item: (item.split == "test", item.kind == "finetuned"))
    assert last.first is not None
    assert last.second is not None
    change = last.second.value - last.first.value
    where = f"{last.label.lower()} on {last.split}"
    if not change:
        return f"Both reach {percent(last.first.value)}, {where}."
    ahead, behind = names[::-1] if change > 0 else names
    better, worse = sorted((last.first.value, last.second.value), reverse=True)
    said = f"{ahead} is ahead of {behind}: {percent(better)} against {percent(worse)}, {where}"
    return f"{said}{_certainty(last, answers)}."


def _certainty(measure: Measure, answers: PairedFacts) -> str:
    """Whether the paired interval tells the two apart; nothing where there is none."""
    for row in answers.rows:
        if (row.stage, row.split) == (measure.kind, measure.split):
            return "" if row.settled else "; on these images they cannot be told apart"
    return "; not the same images, so compare the intervals"


def _data(inputs: Inputs) -> dict[str, str]:
    facts = data.facts(inputs)
    if facts is None:
        return {}
    counts = {f"Images to {name}": f"{count:,}" for name, count in facts.splits.items()}
    sizes = {"Dataset": facts.name, "Classes": f"{len(facts.classes):,}"}
    return sizes | counts | dict(facts.facts)


def _cache(inputs: Inputs) -> dict[str, str]:
    facts = features.card(inputs)
    if facts is not None:
        return {"Key": facts.key} | dict(facts.facts)
    study = inputs.study or {}
    said = {name.capitalize(): str(value) for name, value in study.get("features", {}).items()}
    return {"Key": str(study.get("cache_key", ""))} | said


def _winner(inputs: Inputs) -> dict[str, str]:
    study, winner = inputs.study or {}, inputs.winner
    found = {
        "Search": str(study.get("oracle", "")),
        "Space": str((study.get("space") or {}).get("name", "")),
        "Trials completed": str(sum(item.kind == "trial" for item in inputs.ranked)),
    }
    if winner is None:
        return found
    spec = {"Winner": winner.trial_id, "Head": head_words(winner)}
    training = to_json(winner.training) if winner.training else {}
    return found | spec | dict(flat(training)) | _finished(inputs)


def _finished(inputs: Inputs) -> dict[str, str]:
    if inputs.run is None:
        return {}
    record = inputs.run.record
    return {
        "Fine-tuning run": inputs.run.name,
        "Unfrozen": str(record.get("unfreeze", {}).get("text", "")),
        "Fine-tuning epochs": str(record.get("epochs", "")),
    }


def flat(document: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, value) of every leaf of nested specs, names in words."""
    for name, value in document.items():
        words = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from flat(value, f"{words} ")
        else:
            yield words.capitalize(), _value(value)


def _value(value: Any) -> str:
    return "none" if value is None else short(value)


def paired_facts(first: Inputs, second: Inputs) -> PairedFacts:
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


def answers(inputs: Inputs, stage: str, split: str) -> pd.DataFrame | None:
    """Which images were named right: columns `true` and `right`, by image, in that order.

    From the chosen run's predictions; of a frozen head that was not finished yet from the
    search's ledger, which keeps them for the validation images.
    """
    tables = inputs.run.predictions if inputs.run else {}
    table = tables.get(split + "-frozen" * (stage == "frozen"))
    if table is not None:
        named = pd.DataFrame({"true": table["true"], "right": table["pred1"] == table["true"]})
        return named.set_axis(table["image_id"].to_list()).sort_index()
    return _searched(inputs) if (stage, split) == ("frozen", "val") else None


def _searched(inputs: Inputs) -> pd.DataFrame | None:
    winner, dataset = inputs.winner, inputs.dataset
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
