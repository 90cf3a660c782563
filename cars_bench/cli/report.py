"""`cars-bench report`: one offline HTML page of everything a study found."""

from __future__ import annotations

from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command


@command(
    app,
    "report",
    "cars-bench report",
    "cars-bench report --study uncropped --open",
)
def report(
    session: Session,
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study [default: the last one].", show_default=False),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the web browser.")] = False,
) -> Document:
    """Write the report of a study, however far it has come: HTML, JSON and CSV."""
    from cars_bench.reports.build import build_report

    path = build_report(session.workspace, study, session.progress)
    size_bytes = path.stat().st_size
    session.say(f"written: {path} ({size_bytes / 1e6:.1f} MB, opens from disk, loads nothing)")
    if open_page:
        typer.launch(path.as_uri())
    return {"path": str(path), "json": str(path.with_suffix(".json")), "bytes": size_bytes}
