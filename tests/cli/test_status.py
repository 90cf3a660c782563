"""`cars-bench status` as a person and a script see it."""

import json
from pathlib import Path

import pytest

from cars_bench.cli.session import Session
from cars_bench.cli.status import status
from cars_bench.data.card import write_card
from cars_bench.workspace import Workspace
from tests.data.cards import a_card
from tests.experiments.test_table import RECORD


def session(root: Path, json_output: bool = False) -> Session:
    return Session(Workspace(root), json_output)


def test_an_empty_workspace_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = session(tmp_path / "not yet there")
    assert here.run(lambda: status(here)) == 0
    out = capsys.readouterr().out
    assert "datasets: none" in out
    assert "next: cars-bench prepare" in out


def test_json_has_the_trays_and_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_card(tmp_path / "cache" / "datasets" / "cars", a_card())
    (tmp_path / "cache" / "features" / ("0" * 16)).mkdir(parents=True)
    here = session(tmp_path, json_output=True)
    assert here.run(lambda: status(here)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["datasets"][0]["name"] == "cars"
    assert document["caches"][0]["state"] == "unfinished"
    assert set(document["next"]) == {"command", "why"}


def test_an_experiment_has_a_line_with_what_is_finished_chosen_and_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RECORD.write(Workspace(tmp_path))
    here = session(tmp_path)
    assert here.run(lambda: status(here)) == 0
    assert (
        "    e with efficientnet-lite0: 2 of 3 attempts finished, 1 without weights, chosen a; "
        "next: cars-bench report --experiments\n"
    ) in capsys.readouterr().out


def test_a_broken_settings_file_is_an_error_of_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cars-bench.toml").write_text("[dataset")
    here = session(tmp_path)
    assert here.run(lambda: status(here)) == 3
    assert "cars-bench.toml" in capsys.readouterr().err
