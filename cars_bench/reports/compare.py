"""Two studies side by side, as plain facts: accuracies, caches, winners, answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from cars_bench import SCHEMA_VERSION, __version__
from cars_bench.documents import to_json
from cars_bench.evaluation.comparison import (
    AnswersChanged,
    ClassChange,
    Marked,
    Marks,
    answers_changed,
    evidence,
)
from cars_bench.reports import turned
from cars_bench.reports.accuracies import Baseline
from cars_bench.reports.cautions import Caution, dataset_lacking
from cars_bench.reports.inputs import Inputs, Json
from cars_bench.reports.sections import data, features, verdict
from cars_bench.reports.sections.search import head_words
from cars_bench.reports.sections.verdict import Verdict
from cars_bench.reports.turned import TurnedFacts
from cars_bench.reports.words import points, training_settings
from cars_bench.tuning.leaderboard import answers_of

MEASURES = (
    ("probe", "val", "Best probe"),
    ("frozen", "val", "Frozen winner"),
    ("frozen", "test", "Frozen winner"),
    ("finetuned", "val", "Fine-tuned model"),
    ("finetuned", "test", "Fine-tuned model"),
)
PLACES = (("finetuned", "test"), ("frozen", "test"), ("finetuned", "val"), ("frozen", "val"))


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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
        settled: The two really differ.
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
    settled: bool

    @property
    def same(self) -> bool:
        """Whether the very same images are right."""
        return not (self.only_first or self.only_second)


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """Both measured it, but on other images, `common` of which are the same."""

    stage: str
    split: str
    first: int
    second: int
    common: int


@dataclass(frozen=True, kw_only=True)
class PairedFacts:
    """What two studies answered, test before validation and fine-tuned before frozen.

    Attributes:
        classes: Recall by class that both know, biggest gain first, of `stage` on `split`.
        turned: Images that only one of them names right, of the same; `None` without answers.
    """

    rows: tuple[Paired, ...]
    unlike: tuple[Unpaired, ...]
    classes: tuple[ClassChange, ...]
    turned: TurnedFacts | None
    stage: str
    split: str

    @property
    def gained(self) -> int:
        """How many classes the second knows better."""
        return sum(item.change > 0 for item in self.classes)

    @property
    def lost(self) -> int:
        """How many classes it knows less well."""
        return sum(item.change < 0 for item in self.classes)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two studies side by side; `compare.json` is this.

    Attributes:
        measures: Those that at least one study measured.
        data: Properties of the datasets.
        lacking: What it means for the page where a study's dataset is not here any more.
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
    lacking: tuple[Caution, ...] = ()

    @property
    def cut(self) -> Line | None:
        """What each study's images were cut to, where that differs."""
        crops = (line for line in self.data if line.name == data.CROP)
        return next((line for line in crops if line.differs), None)

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
    names = (_name(first), _name(second))
    return Comparison(
        names=names,
        headline=_headline(names, measures, answers),
        measures=measures,
        data=lines(*map(_data, sides)),
        caches=lines(*map(_cache, sides)),
        winners=lines(*map(_winner, sides)),
        answers=answers,
        lacking=tuple(_lacking(item) for item in sides if item.dataset is None),
    )


def _lacking(inputs: Inputs) -> Caution:
    caution = dataset_lacking(inputs)
    return replace(caution, text=f"{_name(inputs)}: {caution.text}")


def _name(inputs: Inputs) -> str:
    return inputs.study.name if inputs.study else ""


def _measures(first: Verdict, second: Verdict) -> Iterator[Measure]:
    for kind, split, label in MEASURES:
        one = first.best(kind, split)
        other = second.best(kind, split)
        if one or other:
            yield Measure(label=label, kind=kind, split=split, first=one, second=other)


def lines(first: dict[str, str], second: dict[str, str]) -> tuple[Line, ...]:
    """Every name that either has, in the order of the first and then the second."""
    names = dict.fromkeys([*first, *second])
    return tuple(Line(name, first.get(name, ""), second.get(name, "")) for name in names)


def _headline(names: tuple[str, str], measures: tuple[Measure, ...], answers: PairedFacts) -> str:
    """What is known of the last thing that both measured, in one sentence with one difference."""
    both = [item for item in measures if item.first and item.second and item.kind != "probe"]
    if not both:
        return "The two studies have no measured accuracy in common yet."
    last = max(both, key=lambda item: (item.split == "test", item.kind == "finetuned"))
    where = f"{last.label.lower()} on {last.split}"
    for row in answers.rows:
        if (row.stage, row.split) == (last.kind, last.split):
            return _paired_sentence(names, row, where)
    for unlike in answers.unlike:
        if (unlike.stage, unlike.split) == (last.kind, last.split):
            return (
                f"{names[0]} and {names[1]} did not answer the same images ({unlike.first:,} and "
                f"{unlike.second:,}, {unlike.common:,} in common), so which is ahead is not known: "
                f"{where}."
            )
    return f"Which of {names[0]} and {names[1]} is ahead is not known image by image: {where}."


def _paired_sentence(names: tuple[str, str], row: Paired, where: str) -> str:
    images = f"{row.images:,} images"
    if row.same:
        return f"{names[0]} and {names[1]} name the same of {images} right: {where}."
    if not row.settled:
        return (
            f"{names[0]} and {names[1]} cannot be told apart on these {images}: {names[1]} less "
            f"{names[0]} is {points(row.difference)} points "
            f"({evidence(row.low, row.high, row.p_value)}), {where}."
        )
    ahead, behind = names[::-1] if row.difference > 0 else names
    low, high = sorted((abs(row.low), abs(row.high)))
    return (
        f"{ahead} is ahead of {behind} by {100 * abs(row.difference):.1f} points on {images} "
        f"({evidence(low, high, row.p_value)}), {where}."
    )


def _data(inputs: Inputs) -> dict[str, str]:
    facts = data.facts(inputs)
    if facts is None:
        manifest = inputs.manifest
        return {data.CROP: manifest.recipe.crop} if manifest else {}
    counts = {f"Images to {name}": f"{count:,}" for name, count in facts.splits.items()}
    sizes = {"Dataset": facts.name, "Classes": f"{len(facts.classes):,}"}
    return sizes | counts | dict(facts.facts)


def _cache(inputs: Inputs) -> dict[str, str]:
    facts = features.card(inputs)
    if facts is not None:
        return {"Key": facts.key} | dict(facts.facts)
    if inputs.study is None:
        return {}
    record = inputs.study.record
    said = {name.capitalize(): str(value) for name, value in to_json(record.features).items()}
    return {"Key": record.cache_key} | said


def _winner(inputs: Inputs) -> dict[str, str]:
    study = inputs.study
    winner = inputs.winner
    found = {
        "Search": (study.record.oracle or "") if study else "",
        "Space": inputs.space.name if inputs.space else "",
        "Trials completed": str(sum(item.kind == "trial" for item in inputs.ranked)),
    }
    if winner is None:
        return found
    spec = {"Winner": winner.trial_id, "Head": head_words(winner.trial)}
    training = winner.trial.training
    said = dict(training_settings(training)) if training else {}
    return found | spec | said | _finished(inputs)


def _finished(inputs: Inputs) -> dict[str, str]:
    if inputs.run is None:
        return {}
    record = inputs.run.record
    return {
        "Fine-tuning run": inputs.run.name,
        "Unfrozen": record.unfreeze.text,
        "Fine-tuning epochs": str(record.epochs),
    }


def paired_facts(first: Inputs, second: Inputs) -> PairedFacts:
    """Compare wherever both measured the same stage on the same split."""
    rows = []
    unlike = []
    told = []
    for stage, split in PLACES:
        one = answers(first, stage, split)
        other = answers(second, stage, split)
        if one is None or other is None:
            continue
        changed = answers_changed(one, other)
        told.append((changed.classes, turned.facts(one, other, changed), stage, split))
        if changed.same_images:
            rows.append(_paired(stage, split, changed))
        else:
            unlike.append(
                Unpaired(
                    stage=stage,
                    split=split,
                    first=len(one.image_ids),
                    second=len(other.image_ids),
                    common=changed.images,
                )
            )
    classes, pictures, stage, split = next(iter(told), ((), None, "", ""))
    return PairedFacts(
        rows=tuple(rows),
        unlike=tuple(unlike),
        classes=classes,
        turned=pictures,
        stage=stage,
        split=split,
    )


def answers(inputs: Inputs, stage: str, split: str) -> Marked | None:
    """Which images were named right, `None` where that is not known.

    From the predictions; of the frozen head on validation from the search's ledger, which
    keeps them for the trainings that its one number is the mean of.
    """
    if (stage, split) == ("frozen", "val"):
        return _searched(inputs)
    return inputs.answers(stage, split)


def _searched(inputs: Inputs) -> Marks | None:
    row = inputs.frozen_row
    if row is None or inputs.dataset is None or not row.trial.correct:
        return None
    images = inputs.dataset.records("val")
    right = answers_of(row.trial).mean(axis=0)
    if len(images) != len(right):
        return None
    names = inputs.dataset.class_names
    return Marks(
        image_ids=[item.image_id for item in images],
        true=[names[item.label] for item in images],
        correct=right,
    )


def _paired(stage: str, split: str, changed: AnswersChanged) -> Paired:
    return Paired(
        stage=stage,
        split=split,
        images=changed.images,
        difference=changed.difference.value,
        low=changed.difference.low,
        high=changed.difference.high,
        only_first=changed.only_before,
        only_second=changed.only_after,
        p_value=changed.p_value,
        settled=changed.settled,
    )
