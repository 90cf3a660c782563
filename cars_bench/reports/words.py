"""Numbers as people read them, and tables of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Pairs = tuple[tuple[str, str], ...]
"""(name, value) of each property that a card shows."""
Cells = tuple[str, ...]
KILO = 1000


@dataclass(frozen=True)
class Table:
    """The numbers beneath a figure, for whoever cannot or will not see it.

    Attributes:
        headings: One a column.
        rows: Rows of as many cells; the first cell of a row names it.
        words: The columns that hold words; the others hold numbers.
    """

    headings: Cells
    rows: tuple[Cells, ...]
    words: tuple[int, ...] = (0,)


Tables = dict[str, Table]


def percent(value: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * value:.{digits}f}%"


def interval(low: float, high: float, digits: int = 1) -> str:
    """The ends of an interval of shares as percentages."""
    return f"{percent(low, digits)} to {percent(high, digits)}"


def points(change: float, digits: int = 1) -> str:
    """A change of a share in percentage points, with its sign."""
    return f"{100 * change:+.{digits}f}"


def plural(number: int, noun: str, many: str = "") -> str:
    """A number and its noun: `1 trial`, `2 trials`; `many` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def count(value: int | None) -> str:
    """A whole number with thousands separated; an empty string for nothing."""
    return "" if value is None else f"{value:,}"


def short(value: object) -> str:
    """A value in few characters, a number in three digits; an empty string for nothing."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def is_number(value: Any) -> bool:
    """Whether it is a number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_text(value: float) -> str:
    """A number as a person writes it: `1024`, `0.5`, `1e-6`."""
    return str(value) if isinstance(value, int) else f"{value:g}".replace("e-0", "e-")


def size(count: float) -> str:
    """Bytes as a person says them: `812 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < KILO or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KILO
    raise AssertionError("unreachable")


def options(command: str) -> list[str]:
    """A command cut where a line may break: before each `--option`, never inside one."""
    return re.split(r" (?=--)", command)
