"""`cars-bench trials`: the leaderboard of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command, points
from cars_bench.progress import plural, printable
from cars_bench.tables import table_text

if TYPE_CHECKING:
    from cars_bench.tuning.leaderboard import LeaderboardRow, WinnersCurse


WINNER = "*"
TIED = "="
HEADER = f"  {'trial':14}  top-1  {'95% interval':12}  seconds  head"
HEAD_COLUMN = HEADER.index("head")


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
    """Show trials and probes, best validation top-1 first.

    Those that were trained again with new seeds come before the others, by their mean.
    """
    from dataclasses import asdict

    from cars_bench.finetune.runs import frozen_test_top1
    from cars_bench.tuning.leaderboard import leaderboard, winners_curse
    from cars_bench.tuning.study import Study

    opened = Study.open(session.workspace, study)
    rows = leaderboard(opened)[:top]
    curse = winners_curse(opened)
    if curse:
        curse = curse.measured(frozen_test_top1(opened, curse.trial_id))
    if as_csv:
        _print_csv(session, rows)
    else:
        _print_table(session, rows, curse)
    return {
        "study": opened.name,
        "trials": [row.to_json() for row in rows],
        "winners_curse": asdict(curse) if curse else None,
    }


def _print_table(
    session: Session, rows: Sequence[LeaderboardRow], curse: WinnersCurse | None
) -> None:
    from cars_bench.tuning.leaderboard import why_chosen

    winner = curse.trial_id if curse else ""
    session.say(HEADER)
    for row in rows:
        session.say(_line(row, row.trial_id == winner), hang=HEAD_COLUMN)
    if curse:
        more = "" if curse.candidates == 1 else _best_of(curse)
        why = why_chosen(rows, winner)
        session.say(f"{WINNER} the winner{f', {why}' if why else ''}{more}")
    if any(row.tied and row.trial_id != winner for row in rows[1:]):
        session.say(f"{TIED} cannot be told from the first")


def _best_of(curse: WinnersCurse) -> str:
    """What the winner's score is expected to lose, and what it lost."""
    said = (
        f", the pick of {curse.candidates}: expect {points(curse.expected_drop)} less on new images"
    )
    if curse.observed_drop is None:
        return said
    way = "less" if curse.observed_drop >= 0 else "more"
    return f"{said}; on the test images it was {points(abs(curse.observed_drop))} {way}"


def _line(row: LeaderboardRow, wins: bool) -> str:
    mark = WINNER if wins else TIED if row.tied else " "
    name = f"{mark} {row.trial_id:14}"
    if row.score is None or row.low is None or row.high is None:
        return f"{name} {row.status}{': ' if row.reason else ''}{row.reason}"
    interval = f"{100 * row.low:.1f} to {100 * row.high:.1f}"
    return (
        f"{name} {row.score:6.1%}  {interval:12}  {row.seconds:7.1f}  {row.description}"
        f"{_remarks(row)}"
    )


def _remarks(row: LeaderboardRow) -> str:
    remarks = []
    if row.repeats:
        remarks.append(f"mean of {plural(row.repeats, 'new seed')}")
    if row.beats_probes is False:
        remarks.append("does not beat the best probe")
    return f"  [{'; '.join(remarks)}]" if remarks else ""


def _print_csv(session: Session, rows: Sequence[LeaderboardRow]) -> None:
    """Print the rows as they are: a table for programs is not folded."""
    if not session.json_output:
        print(printable(_csv(rows)), flush=True)


def _csv(rows: Sequence[LeaderboardRow]) -> str:
    from cars_bench.tuning.leaderboard import COLUMNS

    return table_text(COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in rows)).rstrip(
        "\n"
    )
