"""Append-only documents: one JSON object a line, each vouching for itself and all before it.

A line is on the disk when `append` returns.  A last line that a crash cut short is dropped;
one that was edited, dropped, added or moved is noticed when the file is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cars_bench.checksums import strict_json
from cars_bench.errors import RecordDamaged
from cars_bench.workspace import BINARY, plain_bytes

Event = dict[str, Any]
SEALED = re.compile(rb'(.+), "digest": "([0-9a-f]{16})"\}')


class Lines:
    """Writes at the end of such a document, which is made where it is not there.

    Opening drops a last line that a crash cut short, and so does the next line
    after one that could not be written whole: each starts on a line of its own.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | BINARY, 0o666)
        whole = _whole_lines(plain_bytes(path))
        self._size = len(whole)
        self._chain = _Chain(whole)

    def append(self, *events: Event) -> None:
        """Write events; they are on the disk when this returns."""
        sealed = b""
        chain = self._chain.copy()
        for event in events:
            line = chain.sealed(json.dumps(event, allow_nan=False).encode())
            chain.add(line)
            sealed += line + b"\n"
        os.ftruncate(self._descriptor, self._size)
        left = memoryview(sealed)
        while left:
            left = left[os.write(self._descriptor, left) :]
        os.fsync(self._descriptor)
        self._size += len(sealed)
        self._chain = chain

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_lines(path: Path, fix: str) -> Iterator[tuple[int, Event]]:
    """Whole lines with their numbers, from 1; none without a file.

    Args:
        path: The document.
        fix: What mends a damaged one.

    Raises:
        RecordDamaged: A line before the last is not a JSON object, or was changed since.
    """
    try:
        lines = _whole_lines(plain_bytes(path)).split(b"\n")[:-1]
    except FileNotFoundError:
        return
    except ValueError as error:
        raise RecordDamaged(f"{path} is damaged: {error}.", fix) from error
    chain = _Chain()
    for number, line in enumerate(lines, 1):
        if not chain.holds(line):
            raise damaged_line(number, path, fix)
        chain.add(line)
        try:
            yield number, dict(strict_json(line))
        except (ValueError, TypeError) as error:
            raise damaged_line(number, path, fix) from error


def damaged_line(number: int, path: Path, fix: str) -> RecordDamaged:
    """The error of a line that is not as it was written."""
    return RecordDamaged(f"Line {number} of {path} is damaged.", fix)


class _Chain:
    """As far as the lines are written or read.

    Args:
        whole: The lines that stand there already, with their line breaks.
    """

    def __init__(self, whole: bytes = b"") -> None:
        self._before = hashlib.sha256(whole)
        self._sealed = False

    def copy(self) -> _Chain:
        """As far as this one, to go on alone."""
        made = _Chain()
        made._before = self._before.copy()
        made._sealed = self._sealed
        return made

    def sealed(self, line: bytes) -> bytes:
        """The next line, such as `{"a": 1}`, with its digest."""
        return line.removesuffix(b"}") + f', "digest": "{self._digest(line)}"}}'.encode()

    def holds(self, line: bytes) -> bool:
        """Whether the next line is as it was written.

        One without a digest can only stand before all that have one: older versions wrote none.
        """
        found = SEALED.fullmatch(line)
        if found is None:
            return not self._sealed
        self._sealed = True
        return found[2].decode() == self._digest(found[1] + b"}")

    def add(self, line: bytes) -> None:
        """Go on behind a line."""
        self._before.update(line + b"\n")

    def _digest(self, line: bytes) -> str:
        own = self._before.copy()
        own.update(line)
        return own.hexdigest()[:16]


def _whole_lines(data: bytes) -> bytes:
    """Everything up to the last line break, without a torn tail."""
    return data[: data.rfind(b"\n") + 1]
