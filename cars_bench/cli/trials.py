"""`cars-bench trials`: the leaderboard of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command

if TYPE_CHECKING:
    from cars_bench.tuning.leaderboard import LeaderboardRow, WinnersCurse


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
    """Show trials and probes, best validation top-1 first; repeated ones before the others."""
    from dataclasses import asdict

    from cars_bench.finetune.runs import frozen_test_top1
    from cars_bench.tuning.leaderboard import leaderboard, winners_curse
    from cars_bench.tuning.study import Study

    opened = Study.open(session.workspace, study)
    rows = leaderboard(opened)[:top]
    session.say(_csv(rows) if as_csv else "\n".join(_line(row) for row in rows))
    curse = winners_curse(opened)
    if curse:
        curse = curse.measured(frozen_test_top1(opened, curse.trial_id))
    if curse and not as_csv:
        session.say(_curse(curse))
    return {
        "study": opened.name,
        "trials": [row.to_json() for row in rows],
        "winners_curse": asdict(curse) if curse else None,
    }


def _curse(curse: WinnersCurse) -> str:
    """What the winner's score is expected to lose, and what it lost."""
    said = (
        f"winner {curse.trial_id}, best of {curse.candidates}: {curse.score:.4f}; "
        f"expected drop on new images {curse.expected_drop:.4f}"
    )
    if curse.observed_drop is None:
        return said
    return f"{said}, seen on the test split {curse.observed_drop:.4f}"


def _line(row: LeaderboardRow) -> str:
    if row.score is None:
        return f"{row.trial_id:15} {row.status:9} {row.reason}"
    tied = "tied" if row.tied else "    "
    return (
        f"{row.trial_id:15} {row.score:.4f} ({row.low:.4f} to {row.high:.4f}) {tied} "
        f"{row.seconds:6.1f} s  {row.description}{_remarks(row)}"
    )


def _remarks(row: LeaderboardRow) -> str:
    remarks = []
    if row.repeats:
        remarks.append(f"mean of {row.repeats} new seeds; {row.single:.4f} when picked")
    if row.beats_probes is False:
        remarks.append("does not beat the best probe")
    return f"  [{'; '.join(remarks)}]" if remarks else ""


def _csv(rows: Sequence[LeaderboardRow]) -> str:
    import csv
    import io

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = ["trial_id", "kind", "status", "score", "low", "high", "tied", "seconds", "epochs"]
    names += ["repeats", "single", "beats_probes"]
    writer.writerow([*names, "parameters", "description", "reason"])
    for row in rows:
        values = [getattr(row, name) for name in names]
        writer.writerow([*values, row.parameters, row.description, row.reason])
    return stream.getvalue().rstrip("\n")
