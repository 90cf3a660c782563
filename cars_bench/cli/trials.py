"""`cars-bench trials`: the leaderboard of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command

if TYPE_CHECKING:
    from cars_bench.tuning.leaderboard import Row


@command(
    app,
    "trials",
    "cars-bench trials --top 10",
    "cars-bench trials --csv > trials.csv",
    "cars-bench trials --json",
)
def trials(
    session: Session,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only so many rows.", show_default=False)
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    study: Annotated[
        str | None, typer.Option(help="Name [default: the last one].", show_default=False)
    ] = None,
) -> Document:
    """Show trials and probes, best validation top-1 first."""
    from cars_bench.tuning.leaderboard import leaderboard
    from cars_bench.tuning.study import Study

    opened = Study.open(session.workspace, study)
    rows = leaderboard(opened)[:top]
    session.say(_csv(rows) if as_csv else "\n".join(_line(row) for row in rows))
    return {"study": opened.name, "trials": [row.to_json() for row in rows]}


def _line(row: Row) -> str:
    if row.score is None:
        return f"{row.trial_id:15} {row.status:9} {row.reason}"
    tied = "tied" if row.tied else "    "
    return (
        f"{row.trial_id:15} {row.score:.4f} ({row.low:.4f} to {row.high:.4f}) {tied} "
        f"{row.seconds:6.1f} s  {row.description}"
    )


def _csv(rows: list[Row]) -> str:
    import csv
    import io

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = ["trial_id", "kind", "status", "score", "low", "high", "tied", "seconds", "epochs"]
    writer.writerow([*names, "parameters", "description", "reason"])
    for row in rows:
        values = [getattr(row, name) for name in names]
        writer.writerow([*values, row.parameters, row.description, row.reason])
    return stream.getvalue().rstrip("\n")
