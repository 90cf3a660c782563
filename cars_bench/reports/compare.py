"""Two studies side by side, as plain facts: accuracies, caches, winners, answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.documents import to_json
from cars_bench.reports.inputs import Json, Sources
from cars_bench.reports.paired import PairedFacts, paired_facts
from cars_bench.reports.search import head_words, short
from cars_bench.reports.tables import cache_facts, data_facts
from cars_bench.reports.verdict import Baseline, Verdict, percent, verdict

MEASURES = (
    ("probe", "val", "Best probe"),
    ("frozen", "val", "Frozen, best head"),
    ("frozen", "test", "Frozen, best head"),
    ("finetuned", "val", "Fine-tuned"),
    ("finetuned", "test", "Fine-tuned"),
)


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


def compare(first: Sources, second: Sources) -> Comparison:
    """Lay two studies side by side; everything that only one of them has stays."""
    sides = (first, second)
    measures = tuple(_measures(*map(verdict, sides)))
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
        one, other = first.rung(kind, split), second.rung(kind, split)
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


def _data(sources: Sources) -> dict[str, str]:
    facts = data_facts(sources)
    if facts is None:
        return {}
    counts = {f"Images to {name}": f"{count:,}" for name, count in facts.splits.items()}
    sizes = {"Dataset": facts.name, "Classes": f"{len(facts.classes):,}"}
    return sizes | counts | dict(facts.facts)


def _cache(sources: Sources) -> dict[str, str]:
    facts = cache_facts(sources)
    if facts is not None:
        return {"Key": facts.key} | dict(facts.facts)
    study = sources.study or {}
    features = {name.capitalize(): str(value) for name, value in study.get("features", {}).items()}
    return {"Key": str(study.get("cache_key", ""))} | features


def _winner(sources: Sources) -> dict[str, str]:
    study, winner = sources.study or {}, sources.winner
    found = {
        "Search": str(study.get("oracle", "")),
        "Space": str((study.get("space") or {}).get("name", "")),
        "Trials completed": str(sum(item.kind == "trial" for item in sources.ranked)),
    }
    if winner is None:
        return found
    spec = {"Winner": winner.trial_id, "Head": head_words(winner)}
    training = to_json(winner.training) if winner.training else {}
    return found | spec | dict(flat(training)) | _finished(sources)


def _finished(sources: Sources) -> dict[str, str]:
    if sources.run is None:
        return {}
    record = sources.run.record
    return {
        "Fine-tuning run": sources.run.name,
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
