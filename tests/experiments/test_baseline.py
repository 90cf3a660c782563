"""The least that an experiment's scores have to beat: see `tests/reports/test_experiments_page.py`.

Covers cars_bench/experiments/baseline.py.
"""

from __future__ import annotations

from pathlib import Path

from cars_bench.experiments.baseline import baseline
from cars_bench.workspace import Workspace
from tests.experiments.test_table import RECORD


def test_before_a_search_ended_nothing_is_known_of_the_images(tmp_path: Path):
    assert baseline(Workspace(tmp_path), RECORD) is None
