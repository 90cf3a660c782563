"""What became of the experiments that were begun, as `status` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cars_bench.errors import CarsBenchError
from cars_bench.experiments.experiment import FOLDER, RUNS, run_command
from cars_bench.experiments.record import experiment_files, read_experiment_record
from cars_bench.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class ExperimentState:
    """One experiment with one backbone.

    Attributes:
        name: Of the experiment; of its record's folder where that cannot be read.
        backbone: Its own.
        planned: Attempts of its config.
        finished: Attempts that were done to their end.
        lacking: Attempts whose weights could not be had.
        chosen: The best on validation; empty until all attempts have an end.
        next: The command that goes on with it.
        detail: What makes it unreadable; empty if it is readable.
    """

    name: str
    backbone: str = ""
    planned: int = 0
    finished: int = 0
    lacking: int = 0
    chosen: str = ""
    next: str = ""
    detail: str = ""


def experiment_states(workspace: Workspace, here: Path) -> tuple[ExperimentState, ...]:
    """Every experiment in a workspace's trays and in the folders' own runs.

    Args:
        workspace: With trays.
        here: Folder with `experiments/`.
    """
    files = experiment_files(workspace, here / FOLDER)
    return tuple(_state(place, path) for place, path in files)


def _state(place: Workspace, path: Path) -> ExperimentState:
    try:
        record = read_experiment_record(path)
    except CarsBenchError as error:
        detail = f"cannot be read: {error.message}"
        return ExperimentState(name=path.parent.name, detail=detail)
    own = place.root.name == RUNS and place.root.parent.name == record.name
    folder = place.root.parent if own else Path(FOLDER, record.name)
    again = run_command(folder, "SOURCE", place)
    return ExperimentState(
        name=record.name,
        backbone=record.backbone,
        planned=len(record.planned or record.attempts),
        finished=sum(item.finished for item in record.attempts),
        lacking=sum(bool(item.lacking) for item in record.attempts),
        chosen=record.chosen,
        next="cars-bench report --experiments" if record.chosen else again,
    )
