"""What became of experiments, as `status` tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cars_bench.experiments.record import RECORD_FILE
from cars_bench.experiments.state import ExperimentState, experiment_states
from cars_bench.workspace import Workspace
from tests.experiments.test_table import RECORD


def test_one_in_its_folder_goes_on_with_its_folder(tmp_path: Path):
    begun = replace(RECORD, chosen="", planned=("a", "b", "c", "d"))
    begun.write(Workspace(tmp_path / "experiments" / "e" / "runs"))
    (found,) = experiment_states(Workspace(tmp_path), tmp_path)
    assert found == ExperimentState(
        name="e",
        backbone="efficientnet-lite0",
        planned=4,
        finished=2,
        lacking=1,
        next=f"cars-bench run {tmp_path}/experiments/e SOURCE",
    )


def test_one_in_the_trays_goes_on_there_and_one_that_is_chosen_is_reported(tmp_path: Path):
    workspace = Workspace(tmp_path)
    replace(RECORD, chosen="").write(workspace)
    (begun,) = experiment_states(workspace, tmp_path)
    assert begun.next == f"cars-bench run experiments/e SOURCE --workspace {tmp_path}"
    assert begun.planned == 3  # an older record knows the begun ones alone
    RECORD.write(workspace)
    (ended,) = experiment_states(workspace, tmp_path)
    assert (ended.chosen, ended.next) == ("a", "cars-bench report --experiments")


def test_a_damaged_one_is_told_beside_the_others(tmp_path: Path):
    workspace = Workspace(tmp_path)
    RECORD.write(workspace)
    torn = workspace.study("torn") / RECORD_FILE
    torn.parent.mkdir(parents=True)
    torn.write_text("{")
    whole, damaged = experiment_states(workspace, tmp_path)
    assert (whole.name, whole.detail) == ("e", "")
    assert damaged.name == "torn"
    assert "cannot be read" in damaged.detail
