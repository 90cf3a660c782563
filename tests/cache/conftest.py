"""A network over `tiny_dataset`, compiled once a test."""

from __future__ import annotations

import pytest

from cars_bench.cache.extraction import Extraction, prepare_extraction
from cars_bench.cache.options import ExtractOptions
from cars_bench.data.dataset import Dataset
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace

TINY = ExtractOptions(
    backbone="tiny", weights="none", image_size=48, runtime="tensorflow", batch_size=8, views=2
)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of ten records, so that 60 images make several."""
    monkeypatch.setattr("cars_bench.cache.shards.RECORDS_PER_SHARD", 10)


@pytest.fixture
def extraction(workspace: Workspace, tiny_dataset: Dataset) -> Extraction:
    return prepare_extraction(workspace, TINY, Progress())
