"""Search spaces: YAML files of named hyperparameters.

A space may hold a head, a training or both in full, which the hyperparameters vary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from cars_bench.documents import FieldError, from_json, meant, named_text
from cars_bench.errors import UsageError
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.hyperparameters import (
    KNOWN,
    Hyperparameter,
    Values,
    reader_of,
    specs_of,
    varied,
)
from cars_bench.tuning.space_entries import MEND, VARIED, Entry, is_number
from cars_bench.yaml_text import YamlText, parse_yaml

PACKAGE = "cars_bench.tuning"
FOLDER = "spaces"
FIXED = "fixed"
HEAD = "head"
TRAINING = "training"
PARTS = ("name", FIXED, HEAD, TRAINING, VARIED)
MIXED = ("box", "mixup")
"""Hyperparameters whose values may exclude each other."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Space:
    """A search space.

    Attributes:
        name: Of the space.
        hyperparameters: Its dimensions, none for a single trial; a condition names an earlier one.
        fixed: Hyperparameters that do not vary.
        document: The file as read, kept in the study.
        head: What the hyperparameters vary.
        training: The same of the training.
    """

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    fixed: Values
    document: dict[str, Any]
    head: HeadSpec = field(default_factory=HeadSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)

    @property
    def epochs(self) -> int:
        """Upper bound on the epochs of a trial, where nothing varies it."""
        return int(self.fixed.get("epochs", self.training.epochs))

    def specs(self, values: Values) -> tuple[HeadSpec, TrainingSpec]:
        """The head and the training of one proposal; what is fixed gives way to it."""
        return specs_of({**self.fixed, **values}, self.head, self.training)

    @property
    def has_boxes(self) -> bool:
        """Whether any trial's head may have a box."""
        return any(head.box for head, _ in self._varied(("box",)))

    def reads(self, item: Hyperparameter) -> bool:
        """Whether any trial reads a hyperparameter."""
        reader = reader_of(item.name)
        if reader is None:
            return True
        found = self._varied((item.name, reader.setting), item.name)
        return any(reader.met(*specs, self.training.schedule) for specs in found)

    def combinations(self, names: Iterable[str]) -> Iterator[Values]:
        """Every way in which hyperparameters, and those that they depend on, may come together.

        Numbers stand for all between by their ends and by what a condition names.
        """
        involved = set(names)
        for item in reversed(self.hyperparameters):
            if item.name in involved:
                involved |= {name for name, _ in item.when}
        chosen = [item for item in self.hyperparameters if item.name in involved]
        for values in product(*map(self._samples, chosen)):
            active: Values = {}
            for item, value in zip(chosen, values, strict=True):
                if item.is_active(active):
                    active[item.name] = value
            yield active

    def _samples(self, item: Hyperparameter) -> tuple[Any, ...]:
        if item.kind == "choice":
            return item.values
        asked = [
            value
            for other in self.hyperparameters
            for name, wanted in other.when
            for value in wanted
            if name == item.name and is_number(value) and item.low <= value <= item.high
        ]
        return (item.low, item.high, *asked)

    def _varied(
        self, names: Iterable[str], active: str | None = None
    ) -> Iterator[tuple[HeadSpec, TrainingSpec]]:
        """Specs of `combinations`, of those in which a hyperparameter is active."""
        for values in self.combinations(names):
            if active is None or active in values:
                yield varied({**self.fixed, **values}, self.head, self.training)


def load_space(name_or_path: str) -> Space:
    """Read a shipped space by name, or a YAML file.

    Raises:
        UsageError: The file is missing or wrong; names the line and the field.
    """
    return parse_space(named_text("space", name_or_path, PACKAGE, FOLDER), name_or_path)


def parse_space(text: str, source: str = "space") -> Space:
    """Read a space from YAML text.

    Raises:
        UsageError: As `load_space`.
    """
    return _sensible(parse_yaml(text, source))


def space_of(document: Values) -> Space:
    """The space that a study keeps as it was read; what it varies in vain is not asked again."""
    return _space(YamlText("the study's space", document, {}))


def space_in(file: YamlText, place: tuple[str, ...]) -> Space:
    """The space that stands as a mapping inside another file.

    Args:
        file: The file.
        place: Names of the fields down to it.

    Raises:
        UsageError: As `load_space`, with the line in that file.
    """
    value: Any = file.value
    for name in place:
        value = value[int(name)] if isinstance(value, list) else value[name]
    depth = len(place)
    below = {key[depth:]: line for key, line in file.lines.items() if key[:depth] == place}
    return _sensible(YamlText(file.source, value, below))


def _sensible(file: YamlText) -> Space:
    """The space of a file, unless a search of it would fail on the way, or vary in vain."""
    space = _space(file)
    _refuse_idle(file, space)
    _refuse_mixed(file, space)
    return space


def _space(file: YamlText) -> Space:
    for key in sorted(set(file.value) - set(PARTS)):
        near = f"{meant(key, PARTS)}{MEND}"
        raise file.error((key,), f"{key} is not known ({', '.join(PARTS)})", near)
    head = _spec(file, HEAD, HeadSpec)
    training = _spec(file, TRAINING, TrainingSpec)
    entries = file.value.get(VARIED)
    if entries is None and {HEAD, TRAINING} & set(file.value):
        entries = {}
    if not isinstance(entries, dict):
        fix = f"write {VARIED}: {{NAME: ...}}, or a {HEAD} or a {TRAINING} in full"
        raise file.error((VARIED,), f"{VARIED} is missing or not a mapping", fix)
    parsed: dict[str, Hyperparameter] = {}
    for name, said in entries.items():
        entry = Entry(file=file, name=name, said=said, head=head, training=training)
        parsed[name] = entry.parsed(parsed)
    return Space(
        name=str(file.value.get("name", Path(file.source).stem)),
        hyperparameters=tuple(parsed.values()),
        fixed=_fixed(file, head, training),
        document=file.value,
        head=head,
        training=training,
    )


def _spec(file: YamlText, part: str, kind: type[T]) -> T:
    """The head or the training that a file holds in full; the defaults without one."""
    try:
        return from_json(kind, file.value.get(part) or {})
    except FieldError as error:
        raise file.error((part, *error.place), error.message, error.fix) from error


def _refuse_idle(file: YamlText, space: Space) -> None:
    """Refuse a hyperparameter that no trial reads: the search would vary it in vain."""
    for item in space.hyperparameters:
        reader = reader_of(item.name)
        if reader and not space.reads(item):
            said = f"{item.name} changes nothing: {reader.lacking}"
            raise file.error((VARIED, item.name), said, reader.fix)


def _refuse_mixed(file: YamlText, space: Space) -> None:
    """Refuse a head with a box on mixed images, in whatever trial they would come together."""
    for values in space.combinations(MIXED):
        try:
            space.specs(values)
        except UsageError as error:
            places = [(part, name) for part in (VARIED, FIXED) for name in reversed(MIXED)]
            places += [(TRAINING, "mixup"), (TRAINING, "cutmix"), (HEAD, "box")]
            place = next((place for place in places if place in file.lines), ())
            raise file.error(place, error.message, error.fix) from error


def _fixed(file: YamlText, head: HeadSpec, training: TrainingSpec) -> Values:
    fixed = file.value.get(FIXED) or {}
    if not isinstance(fixed, dict):
        raise file.error((FIXED,), "fixed is not a mapping", MEND)
    for name in fixed:
        if name not in KNOWN:
            said = f"{name} is not a hyperparameter"
            raise file.error((FIXED, name), said, f"{meant(name, KNOWN)}{MEND}")
    try:
        varied(fixed, head, training)
    except (UsageError, TypeError, ValueError) as error:
        raise file.error((FIXED,), f"fixed: {error}", MEND) from error
    return dict(fixed)
