"""Every error that cars-bench raises on purpose.

    CarsBenchError                 1    the run failed
    ├── UsageError                 2    options that do not go together
    ├── InputError                 3    input missing or unusable
    │   ├── DatasetMissing         3
    │   ├── CacheMissing           3
    │   ├── StudyMissing           3
    │   ├── ModelMissing           3
    │   ├── WeightsUnavailable     3
    │   ├── DetectorMissing        3
    │   └── LabelsUnusable         3
    ├── CacheUnusable              4    cache stale or corrupt
    │   ├── CacheStale             4
    │   └── CacheCorrupt           4
    ├── RecordDamaged              4    a document on disk is not what was written
    ├── NoTrialCompleted           5
    ├── HandoffFailed              1    the reattached head does not reproduce its logits
    ├── DetectorFailed             1    the detector ended in the middle; what it found is kept
    └── Interrupted              130

    TrialFailed                         this trial only; the search goes on

The number is the exit code of the command.  Each error carries one plain
sentence (`message`) and what mends it (`fix`), usually a command.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any


class CarsBenchError(Exception):
    """A failure that a person can act on.

    Args:
        message: One plain sentence, without a final newline.
        fix: The command or action that mends it; may be empty.
    """

    code = 1

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if fix:
            self.add_note(f"  fix: {fix}")  # Python shows it below a traceback

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it (IPython asks for this): as on the command line."""
        return [f"error: {self.message}", *([f"  fix: {self.fix}"] if self.fix else [])]


class UsageError(CarsBenchError):
    """Options that do not go together, or a value outside its range."""

    code = 2


class InputError(CarsBenchError):
    """Input that is missing or cannot be used."""

    code = 3


class DatasetMissing(InputError):
    """No dataset has been prepared, or not the one asked for."""


class CacheMissing(InputError):
    """No feature cache has been extracted, or not the one asked for."""


class StudyMissing(InputError):
    """No study has been tuned, or not the one asked for."""


class ModelMissing(InputError):
    """No model has been fine-tuned, or not the one asked for."""


class WeightsUnavailable(InputError):
    """The backbone's weights cannot be had."""


class DetectorMissing(InputError):
    """The detector, or what it runs on, is not installed."""


class LabelsUnusable(InputError):
    """The label file cannot be read as labels."""


class CacheUnusable(CarsBenchError):
    """A cache exists but must not be used."""

    code = 4


class CacheStale(CacheUnusable):
    """The cache was made from something that has changed since."""


class CacheCorrupt(CacheUnusable):
    """The cache's bytes are not the ones its manifest promises."""


class RecordDamaged(CarsBenchError):
    """A document on disk is not the one that was written: cut, edited or of another kind."""

    code = 4


class NoTrialCompleted(CarsBenchError):
    """A search ended without one usable trial."""

    code = 5


class HandoffFailed(CarsBenchError):
    """The reattached head does not behave as it did on the cache."""


class DetectorFailed(CarsBenchError):
    """The detector ended in the middle of its work; what it found is kept."""


class Interrupted(CarsBenchError):
    """The user stopped the run; what was finished is kept."""

    code = 130


class TrialFailed(Exception):
    """One trial failed (non-finite loss, out of memory); the search goes on.

    Deliberately not a `CarsBenchError`: it never ends a command.
    """


def known(names: Iterable[str]) -> str:
    """What there is instead, to stand in a message: ` (there are: a, b)`, or nothing."""
    found = list(names)
    return f" (there {'are' if len(found) > 1 else 'is'}: {', '.join(found)})" if found else ""


def shown(value: Any) -> str:
    """A value as a message can hold it: as Python writes it, cut short in its middle."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
