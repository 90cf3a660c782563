"""A cache to search on, and a space to search."""

from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.data.dataset import Dataset
from cars_bench.workspace import Workspace
from tests.tuning.studies import SPACE, make_cache


@pytest.fixture
def cached(workspace: Workspace, tiny_dataset: Dataset) -> Workspace:
    """A workspace with a dataset and a cache of it."""
    make_cache(workspace, tiny_dataset)
    return workspace


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """The small space, as a file."""
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path
