"""CSV tables that people open: any text survives them, and no spreadsheet runs one.

A cell that a spreadsheet would take for a formula gets an apostrophe in front, as
one does who types it; `table_rows` takes it away again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from cars_bench.atomic import atomic_file

GUARD = "'"
FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What is guarded; apostrophes before it too, so that each guard can be told from a cell's own."""
GUARDED = re.compile(f"{GUARD}{FORMULA.pattern}")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table, atomically; text is guarded, numbers are not."""
    with atomic_file(path, "w") as stream:
        _write(stream, columns, rows)


def table_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """What `write_table` writes."""
    stream = io.StringIO()
    _write(stream, columns, rows)
    return stream.getvalue()


def table_rows(text: str) -> Iterator[list[str]]:
    """The rows of what `table_text` gave, the names of its columns first.

    Args:
        text: The table, its line ends as they are.

    Raises:
        ValueError: It is no such table.
    """
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            yield [cell[1:] if GUARDED.match(cell) else cell for cell in row]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _write(stream: IO[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    plain.writerow(columns)
    for row in rows:
        cells = [_guarded(cell) for cell in row]
        # left to itself the writer does not quote a lone carriage return
        broken = any("\r" in cell for cell in cells if isinstance(cell, str))
        (quoted if broken else plain).writerow(cells)


def _guarded(cell: Any) -> Any:
    return GUARD + cell if isinstance(cell, str) and FORMULA.match(cell) else cell
