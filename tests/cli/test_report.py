from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cars_bench.cli import report as _registered  # noqa: F401
from cars_bench.cli.app import app
from tests.reports.workspaces import make_workspace


def _run(*arguments: str) -> tuple[int, dict]:
    result = CliRunner().invoke(app, ["report", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("stage", ["prepared", "finetuned"])
def test_report_writes_a_page_at_any_stage(tmp_path, stage):
    make_workspace(tmp_path, stage, trials=3)
    code, document = _run("--workspace", str(tmp_path))
    assert code == 0
    assert document["path"].endswith("report.html")
    assert document["bytes"] < 3_000_000


def test_an_empty_workspace_is_exit_3_with_the_first_command(tmp_path):
    code, document = _run("--workspace", str(tmp_path))
    assert code == 3
    assert "prepare" in document["error"]["fix"]


def test_an_unknown_study_is_exit_3(tmp_path):
    make_workspace(tmp_path, "tuned", trials=2)
    code, document = _run("--workspace", str(tmp_path), "--study", "nowhere")
    assert code == 3
    assert "nowhere" in document["error"]["message"]


def test_two_studies_side_by_side(tmp_path):
    workspace = make_workspace(tmp_path, trials=3)
    shutil.copytree(workspace.studies / "drawn-tiny", workspace.studies / "other")
    code, document = _run("--workspace", str(tmp_path), "--compare", "drawn-tiny", "other")
    assert code == 0
    assert document["path"].endswith("drawn-tiny-against-other/compare.html")
    assert "drawn-tiny-against-other/compare.html" in Path(document["index"]).read_text("utf-8")


def test_a_comparison_takes_no_study_beside_it(tmp_path):
    code, document = _run("--workspace", str(tmp_path), "--compare", "a", "b", "--study", "c")
    assert code == 2
    assert "--compare A B" in document["error"]["fix"]
