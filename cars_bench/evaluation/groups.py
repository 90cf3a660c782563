"""Accuracy by a property of the class: one that the user gave, or that names of cars tell.

Names such as `Audi TTS Coupe 2012` tell make, body type and year.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cars_bench.evaluation.metrics import Estimate, wilson

Groups = dict[str, dict[str, str]]
"""Properties by name, each with the group of every class that tells it."""

UNKNOWN = "unknown"
PROPERTIES = ("make", "body", "year")
MOST_CLASSES = 0.8
"""Share of the classes that must tell a property before it is one of theirs."""
SEVERAL = 2
"""Classes in a group, and such groups, below which grouping says nothing new."""

_TWO_WORD_MAKES = ("AM General", "Alfa Romeo", "Aston Martin", "Land Rover", "Rolls Royce")

# The first pattern that matches wins, so the compound bodies stand first.
_BODIES = (
    ("Crew Cab", r"\bcrew cab\b|\bsupercrew\b"),
    ("Extended Cab", r"\bextended cab\b|\bclub cab\b|\bsupercab\b"),
    ("Regular Cab", r"\bregular cab\b"),
    ("Minivan", r"\bminivan\b"),
    ("Van", r"\bvan\b"),
    ("Wagon", r"\bwagon\b"),
    ("Hatchback", r"\bhatchback\b"),
    ("Convertible", r"\bconvertible\b|\bcabriolet\b|\broadster\b"),
    ("Coupe", r"\bcoupe\b"),
    ("Sedan", r"\bsedan\b"),
    ("SUV", r"\bsuv\b"),
    ("Pickup", r"\bpickup\b|\bcab\b"),
)
_YEAR = re.compile(r"\b(19\d\d|20\d\d)\b(?!.*\b(?:19|20)\d\d\b)")


@dataclass(frozen=True)
class CarName:
    """What a class name says; `unknown` where it does not.

    Attributes:
        make: Manufacturer, e.g. `Aston Martin`.
        body: Body type, e.g. `Coupe`.
        year: Model year in four digits, as text.
    """

    make: str
    body: str
    year: str


@dataclass(frozen=True)
class GroupScore:
    """Top-1 accuracy within one group.

    Attributes:
        group: Its name.
        accuracy: Share answered right, with Wilson's 95% interval.
        n: Number of images.
    """

    group: str
    accuracy: Estimate
    n: int


def parse_name(class_name: str) -> CarName:
    """Parse make, body type and year; anything that is not there is `unknown`."""
    words = class_name.replace("_", " ").strip()
    year = _YEAR.search(words)
    return CarName(_make(words), _body(words), year[1] if year else UNKNOWN)


def class_groups(
    class_names: Sequence[str], given: Mapping[str, Mapping[str, str]] | None = None
) -> Groups:
    """The properties by which classes can be grouped, each class to its group.

    What the user gave comes first.  Make, body type and year are read from names where
    most classes tell them and two groups or more have several classes; a make is only
    the first word, so it counts where the names tell body types, as those of cars do.
    A class that does not tell a property has no group in it.

    Args:
        class_names: C names.
        given: Properties of classes by their name, from the dataset's card.
    """
    found: Groups = {}
    for what, values in (given or {}).items():
        known = {name: values[name] for name in class_names if name in values}
        if len(set(known.values())) > 1:
            found[what] = known
    taken = {what.casefold() for what in found}
    told = {what: values for what, values in _told(class_names).items() if what not in taken}
    return found | told


def _told(class_names: Sequence[str]) -> Groups:
    """The properties that the names tell."""
    cars = {name: parse_name(name) for name in class_names}
    told: Groups = {}
    for what in PROPERTIES:
        values = {name: getattr(car, what) for name, car in cars.items()}
        told[what] = {name: value for name, value in values.items() if value != UNKNOWN}
    if not _most(told["body"], class_names):
        del told["make"]
    return {
        what: values
        for what, values in told.items()
        if _most(values, class_names) and _tells_apart(values)
    }


def _most(values: Mapping[str, str], class_names: Sequence[str]) -> bool:
    return len(values) >= MOST_CLASSES * len(set(class_names))


def _tells_apart(values: Mapping[str, str]) -> bool:
    sizes = Counter(values.values())
    return sum(size >= SEVERAL for size in sizes.values()) >= SEVERAL


def accuracy_by(
    group_of: Mapping[str, str], true_names: Sequence[str], correct: np.ndarray
) -> list[GroupScore]:
    """Accuracy by a property of the true class, worst group first.

    Args:
        group_of: From a class name to its group; classes that are not there are left out.
        true_names: N class names.
        correct: bool [N].

    Raises:
        ValueError: The lengths differ.
    """
    right: dict[str, list[bool]] = {}
    for name, hit in zip(true_names, correct, strict=True):
        if name in group_of:
            right.setdefault(group_of[name], []).append(bool(hit))
    scores = [GroupScore(group, wilson(sum(v), len(v)), len(v)) for group, v in right.items()]
    return sorted(scores, key=lambda item: (item.accuracy.value, item.group))


def group_scores(
    true_names: Sequence[str], correct: np.ndarray, groups: Groups
) -> dict[str, tuple[GroupScore, ...]]:
    """Accuracy by each property, worst group first; a property of one group is left out.

    Args:
        true_names: N class names.
        correct: bool [N].
        groups: As `class_groups` finds them.
    """
    found = {}
    for what, group_of in groups.items():
        scores = accuracy_by(group_of, true_names, correct)
        if len(scores) > 1:
            found[what] = tuple(scores)
    return found


def _make(words: str) -> str:
    plain = words.replace("-", " ").lower()
    for make in _TWO_WORD_MAKES:
        if plain.startswith(make.lower() + " "):
            return words[: len(make)]
    first = words.split(" ", 1)[0] if words else ""
    return first if re.search(r"[^\W\d_]", first) else UNKNOWN


def _body(words: str) -> str:
    plain = words.lower()
    return next((body for body, pattern in _BODIES if re.search(pattern, plain)), UNKNOWN)
