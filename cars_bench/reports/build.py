"""Builds a study's report: gather facts, draw, render, write."""

from __future__ import annotations

from pathlib import Path

from cars_bench.errors import CarsBenchError
from cars_bench.progress import Progress
from cars_bench.reports.exports import write_tables
from cars_bench.reports.facts import gather
from cars_bench.reports.index import write_index
from cars_bench.reports.inputs import read_sources
from cars_bench.reports.page import MODULES, page_context
from cars_bench.reports.render import render
from cars_bench.workspace import Workspace, write_json, write_text

LIMIT_BYTES = 5_000_000


def build_report(
    workspace: Workspace, study_name: str | None = None, progress: Progress | None = None
) -> Path:
    """Write `reports/STUDY/`: `report.html`, `report.json`, the tables as CSV; and the index.

    Args:
        workspace: Where the study is and the report goes.
        study_name: The study; by default the last one. Where none exists yet
            the report is about the dataset and its cache.
        progress: Says what is being done.

    Returns:
        The HTML file.

    Raises:
        StudyMissing: There is no study of that name.
        InputError: There is nothing to report on.
        CarsBenchError: The page would exceed 5 MB.
    """
    progress = progress or Progress()
    sources = read_sources(workspace, study_name)
    report = gather(sources)
    progress.log(f"drawing the report of {report.title}")
    page = render("report.html.j2", MODULES, **page_context(report, sources))
    check_size(page)
    folder = workspace.reports / report.title
    write_tables(folder, report)
    write_json(folder / "report.json", report.to_json())
    write_text(folder / "report.html", page)
    write_index(workspace)
    return folder / "report.html"


def check_size(page: str) -> None:
    """Refuse a page that nobody could be sent.

    Raises:
        CarsBenchError: It exceeds 5 MB.
    """
    size = len(page.encode())
    if size > LIMIT_BYTES:
        raise CarsBenchError(
            f"The report would be {size / 1e6:.1f} MB, above its limit of "
            f"{LIMIT_BYTES / 1e6:.0f} MB.",
            "report a study with fewer trials or classes",
        )
