"""`cars-bench run`: where it writes, what it says, and that killed it goes on.

Covers cars_bench/experiments/forecast.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cars_bench.cli.run import next_command, run
from cars_bench.cli.session import Session
from cars_bench.experiments import stages
from cars_bench.workspace import Workspace
from tests.experiments.small import CONFIG, small
from tests.tuning.searches import ROOT, wait_for

ONE = CONFIG[: CONFIG.index("  - name: surgery")].replace("checks: true", "checks: false")


def asked(session: Session, folder: Path, source: Path | None, **more) -> int:
    options = {"only": None, "dry_run": False} | more
    return session.run(lambda: run(session, experiment=folder, source=source, **options))


def test_it_writes_beside_the_config_and_tells_both_scores(
    tmp_path: Path, tiny_source: Path, capsys: pytest.CaptureFixture[str]
):
    experiment = small(tmp_path / "shapes", ONE)
    elsewhere = Workspace(tmp_path / "elsewhere")
    assert asked(Session(elsewhere, json_output=True), experiment.folder, tiny_source) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["chosen"] == "one-dense"
    assert document["table"][0]["published"] == 0.68
    assert Path(document["folder"]).is_relative_to(experiment.runs)
    assert not elsewhere.root.exists()
    assert asked(Session(elsewhere), experiment.folder, tiny_source) == 0
    said = capsys.readouterr().out
    assert "published 20.0%" in said
    assert f"next: cars-bench report --experiments --workspace {experiment.runs}" in said


def test_a_named_workspace_takes_everything_or_has_it_already(
    experiment_once: Path, tmp_path: Path, tiny_source: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(stages, "search")
    shutil.copytree(experiment_once / "runs", tmp_path / "elsewhere")
    experiment = small(tmp_path / "shapes")
    session = Session(Workspace(tmp_path / "elsewhere"), workspace_named=True)
    assert asked(session, experiment.folder, tiny_source) == 0
    assert not experiment.runs.exists()


def test_beside_the_current_folder_the_report_finds_it_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CARS_BENCH_WORKSPACE", raising=False)
    plain = "cars-bench report --experiments"
    assert next_command(Workspace(tmp_path / "experiments" / "shapes" / "runs")) == plain
    assert next_command(Workspace(tmp_path)) == plain
    assert next_command(Workspace(tmp_path / "a b")) == f"{plain} --workspace '{tmp_path}/a b'"


def test_a_dry_run_writes_nothing(
    tmp_path: Path, tiny_source: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    experiment = small(tmp_path / "shapes")
    monkeypatch.delattr(stages, "search")
    assert asked(Session(Workspace(tmp_path)), experiment.folder, tiny_source, dry_run=True) == 0
    said = capsys.readouterr().out
    assert "no-warm-up: tiny at 48 px; reused: nothing" in said
    assert "3 attempts" in said
    assert "2 min 00 s" in said
    assert not experiment.runs.exists()


def test_a_wrong_key_ends_in_one_sentence_and_code_2(
    tmp_path: Path, tiny_source: Path, capsys: pytest.CaptureFixture[str]
):
    experiment = small(tmp_path / "shapes")
    (experiment.folder / "config.yml").write_text(CONFIG.replace("views: 2}", "veiws: 2}", 1))
    assert asked(Session(Workspace(tmp_path)), experiment.folder, tiny_source) == 2
    said = capsys.readouterr().err
    assert "line 5" in said
    assert "did you mean views?" in said


@pytest.mark.slow
def test_killed_in_the_middle_the_same_command_goes_on(tmp_path: Path, tiny_source: Path):
    experiment = small(tmp_path / "shapes")
    words = [sys.executable, "-m", "cars_bench", "run", str(experiment.folder), str(tiny_source)]
    environment = {k: v for k, v in os.environ.items() if k != "CARS_BENCH_WORKSPACE"}

    def begun() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*words, "--json"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    process = begun()
    wait_for(lambda: list(experiment.runs.glob("tuning/*/final/*/plan.json")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    ledgers = {path: path.read_bytes() for path in experiment.runs.glob("tuning/*/ledger.jsonl")}
    printed, _ = begun().communicate(timeout=600)
    document = json.loads(printed)
    assert [item["val"] is not None for item in document["attempts"]] == [True] * 3
    assert ledgers
    assert all(path.read_bytes() == before for path, before in ledgers.items())
