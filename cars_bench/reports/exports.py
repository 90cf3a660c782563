"""The numbers of a report's tables as CSV files."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path

from cars_bench.reports.facts import Report
from cars_bench.reports.inputs import Json
from cars_bench.workspace import write_text


def write_tables(folder: Path, report: Report) -> None:
    """Write the numbers of the tables as CSV, one file a table."""
    if report.search:
        rows = [_flat(asdict(row)) for row in report.search.rows]
        _write_csv(folder / "trials.csv", rows)
    if report.data:
        _write_csv(folder / "classes.csv", [asdict(row) for row in report.data.classes])
    if report.mistakes:
        pairs = [asdict(pair) for pair in report.mistakes.pairs]
        _write_csv(
            folder / "confusions.csv", [p | {"images": " ".join(p["images"])} for p in pairs]
        )


def _flat(row: Json) -> Json:
    """A leaderboard row without its nested specs; its hyperparameters as columns."""
    nested = ("values", "head_spec", "training_spec", "curve")
    kept = {name: value for name, value in row.items() if name not in nested}
    return kept | {f"value.{name}": value for name, value in row["values"].items()}


def _write_csv(path: Path, rows: list[Json]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())
