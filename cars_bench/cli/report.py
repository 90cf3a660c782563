"""`cars-bench report`: one offline HTML page of everything a study found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.errors import UsageError
from cars_bench.progress import size


@command(
    app,
    "report",
    "cars-bench report",
    "cars-bench report --study uncropped --open",
    "cars-bench report --compare uncropped cropped     # two studies side by side",
    "cars-bench report --experiments                   # published scores and ours",
    "cars-bench report --heatmaps                      # add where the model looked",
)
def report(
    session: Session,
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study [default: the last one].", show_default=False),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two studies side by side, instead.", show_default=False),
    ] = None,
    heatmaps: Annotated[
        bool,
        typer.Option("--heatmaps", help="Compute them for runs that have none; loads the model."),
    ] = False,
    experiments: Annotated[
        bool,
        typer.Option("--experiments", help="Published scores and ours, of every experiment run."),
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the web browser.")] = False,
) -> Document:
    """Write the report of a study, however far it has come.

    One HTML page that loads nothing, and its numbers as JSON and CSV.
    """
    if compare and (study or heatmaps):
        raise UsageError(
            "--compare goes with neither --study nor --heatmaps.",
            "cars-bench report --compare A B",
        )
    if experiments and (compare or study or heatmaps):
        raise UsageError(
            "--experiments goes with none of --compare, --study and --heatmaps.",
            "cars-bench report --experiments",
        )
    if experiments:
        path = _of_experiments(session)
    else:
        path = _compared(session, *compare) if compare else _of_study(session, study, heatmaps)
    size_bytes = path.stat().st_size
    index = session.workspace.reports / "index.html"
    session.say(f"written: {path} ({size(size_bytes)}, opens from disk, loads nothing)")
    session.say(f"all reports: {index}")
    if open_page:
        typer.launch(path.as_uri())
    return {
        "path": str(path),
        "json": str(path.with_suffix(".json")),
        "bytes": size_bytes,
        "index": str(index),
    }


def _compared(session: Session, first: str, second: str) -> Path:
    from cars_bench.reports.compare_page import build_comparison

    return build_comparison(session.workspace, first, second, session.progress)


def _of_experiments(session: Session) -> Path:
    from cars_bench.reports.experiments_page import build_experiments

    return build_experiments(session.workspace, Path.cwd(), session.progress)


def _of_study(session: Session, study: str | None, heatmaps: bool) -> Path:
    from cars_bench.reports.page import build_report

    if heatmaps:
        session.choose_backend("tensorflow")
        from cars_bench.finetune.grad_cam import add_heatmaps

        add_heatmaps(session.workspace, study, session.progress)
    return build_report(session.workspace, study, session.progress)
