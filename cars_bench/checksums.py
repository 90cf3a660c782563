"""Documents that show their damage: strict JSON, and the checksum that a document carries.

A document of version 2 says last what the rest of it hashes to, so that no value
of it can change unnoticed.  Those of version 1 carry no checksum and are still read.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cars_bench.errors import shown
from cars_bench.workspace import plain_bytes

VERSION = "schema_version"
CHECKSUM = "checksum"
UNSEALED = 1
SEALED = 2
"""The version of what is written now; that of `--json` is `cars_bench.SCHEMA_VERSION`."""


def canonical(document: Any) -> str:
    """JSON with sorted keys and no spaces: the same text for the same data."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def checksum(document: Any) -> str:
    """SHA-256 of a document's canonical text, in hexadecimal; its first digits will do for a line.

    Two documents that are written differently and say the same have one checksum.
    """
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def strict_json(text: str | bytes) -> Any:
    """Parse JSON; NaN, infinities and numbers that no float holds are none.

    Raises:
        ValueError: It is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_number, parse_float=_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """Parse a JSON file, as `strict_json` does.

    Raises:
        ValueError: It is not JSON, or not a file at all: a folder or a pipe.
        OSError: It is not there, or cannot be read.
    """
    return strict_json(plain_bytes(path))


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A document of these values, its version first and its checksum last."""
    document = {VERSION: SEALED} | dict(values)
    return document | {CHECKSUM: checksum(document)}


def unsealed(document: Any) -> Any:
    """A document's values, without version and checksum; what is no mapping is given back.

    Raises:
        ValueError: Its version is none that is known, or its checksum is missing.
    """
    if not isinstance(document, Mapping):
        return document
    values = {name: value for name, value in document.items() if name != VERSION}
    found = document.get(VERSION)
    if found is True or found not in (UNSEALED, SEALED):
        raise ValueError(f"{VERSION} must be {UNSEALED} or {SEALED}, found {shown(found)}")
    if found == SEALED and values.pop(CHECKSUM, None) is None:
        raise ValueError(f"its {CHECKSUM} is missing")
    return values


def check_seal(document: Mapping[str, Any]) -> None:
    """See that a document's values are those that its checksum was taken of.

    Raises:
        ValueError: They are not.
    """
    rest = {name: value for name, value in document.items() if name != CHECKSUM}
    if document[VERSION] == SEALED and document[CHECKSUM] != checksum(rest):
        raise ValueError(f"a value was changed: its {CHECKSUM} is of other values")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is no number that can be kept")
    return value
