from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from cars_bench.reports import sections
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.report import Report, gather
from tests.reports.workspaces import make_workspace

TEMPLATES = Path(sections.__file__).parents[1] / "templates" / "sections"
NAMES = [item.name for item in pkgutil.iter_modules(sections.__path__)]


def test_every_section_is_one_module_and_one_template_of_the_same_name():
    assert {path.name.removesuffix(".html.j2") for path in TEMPLATES.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_section_has_facts_and_writes_out_what_it_draws(name):
    section = importlib.import_module(f"{sections.__name__}.{name}")
    assert callable(section.facts)
    if hasattr(section, "table"):
        assert callable(section.figure)


def test_a_report_is_plain_data(report: Report):
    document = report.to_json()
    assert document["schema_version"] == 1
    assert document["title"] == report.title == "drawn-tiny"
    assert document["winner"]["contenders"][0]["trial_id"]


def test_before_the_search_there_is_no_importance(tmp_path):
    found = gather(read_inputs(make_workspace(tmp_path, "extracted")))
    assert (found.search, found.importance, found.winner, found.optimism) == (None,) * 4
