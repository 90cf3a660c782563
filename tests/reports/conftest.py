"""Drawn workspaces at each stage, made once a session (reports only read them)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from cars_bench.reports.compare_page import build_comparison
from cars_bench.reports.inputs import Inputs, read_inputs
from cars_bench.reports.page import build_report, report_page
from cars_bench.reports.report import Report, gather
from cars_bench.workspace import Workspace
from tests.reports.browser import started
from tests.reports.workspaces import CLASSES, CUT, EVIL, add_cropped, evaluated, make_workspace


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workspace]:
    """Gives the drawn workspace of a stage."""
    made: dict[str, Workspace] = {}

    def get(stage: str) -> Workspace:
        if stage not in made:
            made[stage] = make_workspace(tmp_path_factory.mktemp(stage), stage)
        return made[stage]

    return get


@pytest.fixture(scope="session")
def finished(drawn: Callable[[str], Workspace]) -> Inputs:
    """What the finished drawn workspace holds."""
    return read_inputs(drawn("finetuned"))


@pytest.fixture(scope="session")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """What a workspace holds of the same images, cut to their boxes."""
    return read_inputs(add_cropped(Workspace(tmp_path_factory.mktemp("cropped"))), CUT.study)


@pytest.fixture(scope="session")
def evaluated_winner(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """What a workspace holds whose frozen winner was evaluated and not fine-tuned."""
    workspace = make_workspace(tmp_path_factory.mktemp("evaluated"), "tuned")
    return read_inputs(evaluated(workspace))


@pytest.fixture(scope="session")
def report(finished: Inputs) -> Report:
    """Everything that the report of the finished workspace says."""
    return gather(finished)


@pytest.fixture(scope="session")
def page(report: Report, finished: Inputs) -> str:
    """The page of the finished workspace."""
    return report_page(report, finished)


@pytest.fixture(scope="session")
def section(page: str) -> Callable[[str], str]:
    """Gives the words of a section of the page, without its figures."""

    def words(name: str) -> str:
        part = page.split(f'<section id="{name}"')[1].split("</section>", maxsplit=1)[0]
        part = re.sub(r"<svg.*?</svg>", " ", part, flags=re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", part)).split())

    return words


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser puts what is downloaded."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Any]:
    """A real browser; the test skips where there is none."""
    with started(tmp_path_factory.mktemp("profile"), downloads) as browser:
        yield browser


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of hostile names, the index and a comparison on disk, by name.

    Also the report before a model has answered, `tuned`.
    """
    workspace = make_workspace(tmp_path_factory.mktemp("browser"), classes=(EVIL, *CLASSES))
    early = make_workspace(tmp_path_factory.mktemp("early"), "tuned")
    report = build_report(workspace)
    add_cropped(workspace, classes=(EVIL, *CLASSES))
    compared = build_comparison(workspace, "drawn-tiny", "cropped")
    index = workspace.reports / "index.html"
    return {"report": report, "index": index, "compare": compared, "tuned": build_report(early)}
