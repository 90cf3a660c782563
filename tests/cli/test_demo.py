"""`cars-bench demo`: its stages, its failures, and (slow) all of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cars_bench.cli import demo as module
from cars_bench.cli.session import Session
from cars_bench.finetune.runs import runs
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

TOP1 = {"value": 0.75, "low": 0.65, "high": 0.83}
SCORES = {"test": {"top1": TOP1, "top5": TOP1, "n": 90}}
RESULT = {"run": "r1", "frozen": SCORES, "finetuned": SCORES, "handoff": {"max_abs_diff": 0.001}}


class Stages:
    """Stands in for the stages' processes: answers by command name and keeps what was asked."""

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self.answers, self.asked = answers, list[list[str]]()

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.asked.append(command[3:])
        code, document = self.answers.get(command[3], (0, RESULT))
        return subprocess.CompletedProcess(command, code, json.dumps(document))


def run_with(
    stages: Stages, session: Session, monkeypatch: pytest.MonkeyPatch, trials: int = 12
) -> int:
    monkeypatch.setattr(module.subprocess, "run", stages)
    return session.run(lambda: module.demo(session, trials=trials))


def test_stages_run_in_order_on_the_users_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = Stages()
    assert run_with(stages, Session(Workspace(tmp_path)), monkeypatch) == 0
    names = [command[0] for command in stages.asked]
    assert names == ["prepare", "extract", "tune", "finetune", "evaluate", "report"]
    assert stages.asked[4][:3] == ["evaluate", "--model", "demo/r1"]
    assert stages.asked[2][:5] == ["tune", "--study", "demo", "--space", "quick"]
    assert all(str(tmp_path) in command and "--json" in command for command in stages.asked)
    last = capsys.readouterr().out.splitlines()[-3:]
    assert last[0] == (
        "test accuracy, frozen:     75.0% of 90 images (95% interval 65.0% to 83.0%)"
    )
    assert last[2] == f"report: {tmp_path / 'reports' / 'demo' / 'report.html'}"


def test_json_lists_the_stages_and_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(Workspace(tmp_path), json_output=True, quiet=True)
    stages = Stages()
    assert run_with(stages, session, monkeypatch, trials=3) == 0
    document = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in document["stages"]] == list(module.STAGES)
    assert document["stages"][2]["arguments"][-1] == "3"
    assert document["finetuned"] == SCORES
    assert all("--quiet" in command for command in stages.asked)


def test_a_winner_that_was_finished_before_is_not_fine_tuned_again(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Study.open(finished).folder.rename(finished.studies / "demo")
    (run,) = runs(Study.open(finished, "demo"))
    stages = Stages(tune=(0, {"winner": {"trial_id": run.record.trial_id}}))
    assert run_with(stages, Session(finished), monkeypatch) == 0
    assert "finetune" not in [command[0] for command in stages.asked]
    assert stages.asked[3][:3] == ["evaluate", "--model", f"demo/{run.name}"]


def test_a_winner_that_was_not_finished_is_fine_tuned(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Study.open(finished).folder.rename(finished.studies / "demo")
    stages = Stages(tune=(0, {"winner": {"trial_id": "another"}}))
    assert run_with(stages, Session(finished), monkeypatch) == 0
    assert "finetune" in [command[0] for command in stages.asked]


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ((4, {"error": {"code": 4, "message": "Old.", "fix": "look"}}), 4, "extract: Old."),
        ((130, {"error": {"code": 130, "message": "Stopped.", "fix": ""}}), 130, "Stopped."),
        ((-9, {}), 1, "extract was killed by signal 9."),
        ((0, {}), 1, "no result"),
    ],
)
def test_the_first_failure_stops_it_with_its_code_and_a_way_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: tuple[int, Any],
    code: int,
    said: str,
) -> None:
    stages = Stages(extract=answer)
    assert run_with(stages, Session(Workspace(tmp_path)), monkeypatch) == code
    assert [command[0] for command in stages.asked] == ["prepare", "extract"]
    err = capsys.readouterr().err
    assert said in err
    assert f"cars-bench demo --workspace {tmp_path}" in err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_demo_ends_with_two_accuracies_and_a_report_and_goes_on_again(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "cars_bench", "demo", "--json", "--workspace", str(tmp_path)]
    documents = [
        json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(2)
    ]
    first, again = documents
    chance = 1 / first["stages"][0]["result"]["classes"]
    for kind in ("frozen", "finetuned"):
        top1 = first[kind]["test"]["top1"]
        assert 2 * chance < top1["low"] <= top1["value"] <= top1["high"]
        assert again[kind] == first[kind]
    assert Path(first["report"]).stat().st_size > 10_000
    assert again["seconds"] < first["seconds"]
