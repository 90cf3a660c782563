"""Make, body type and year of a car, parsed from class names such as `Audi TTS Coupe 2012`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cars_bench.evaluation.metrics import Estimate, wilson

UNKNOWN = "unknown"
PROPERTIES = ("make", "body", "year")

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


def accuracy_by(
    group_of: Callable[[str], str], true_names: Sequence[str], correct: np.ndarray
) -> list[GroupScore]:
    """Accuracy by a property of the true class, worst group first.

    Args:
        group_of: From a class name to its group, e.g. `lambda name: parse_name(name).body`.
        true_names: N class names.
        correct: bool [N].

    Raises:
        ValueError: The lengths differ.
    """
    right: dict[str, list[bool]] = {}
    for name, hit in zip(true_names, correct, strict=True):
        right.setdefault(group_of(name), []).append(bool(hit))
    scores = [GroupScore(group, wilson(sum(v), len(v)), len(v)) for group, v in right.items()]
    return sorted(scores, key=lambda item: (item.accuracy.value, item.group))


def group_scores(
    true_names: Sequence[str], correct: np.ndarray
) -> dict[str, tuple[GroupScore, ...]]:
    """Accuracy by make, body and year, worst group first; a property of one group is left out.

    Args:
        true_names: N class names.
        correct: bool [N].
    """
    cars = {name: parse_name(name) for name in set(true_names)}
    found = {}
    for what in PROPERTIES:
        group_of = {name: str(getattr(car, what)) for name, car in cars.items()}
        scores = accuracy_by(group_of.__getitem__, true_names, correct)
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
