"""Drawn workspaces at each stage, made once a session (reports only read them)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cars_bench.reports.inputs import Sources, read_sources
from cars_bench.workspace import Workspace
from tests.reports.workspaces import make_workspace


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
def finished(drawn: Callable[[str], Workspace]) -> Sources:
    """What the finished drawn workspace holds."""
    return read_sources(drawn("finetuned"))
