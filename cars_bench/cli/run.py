"""`cars-bench run`: a published experiment, its score beside ours."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, TrackOption, command
from cars_bench.progress import accuracy, duration

if TYPE_CHECKING:
    from cars_bench.experiments.experiment import Experiment
    from cars_bench.experiments.record import ExperimentRecord
    from cars_bench.experiments.table import Row
    from cars_bench.workspace import Workspace


@command(
    app,
    "run",
    "cars-bench run experiments/cached-heads photos/",
    "cars-bench run experiments/cached-heads photos/ --dry-run",
    "cars-bench run my_experiment/ --only one-dense --only surgery",
)
def run(
    session: Session,
    experiment: Annotated[
        Path, typer.Argument(help="Folder with a config.yml.", show_default=False)
    ],
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Where the pictures are [default: the config's data.source].", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Name of an attempt; may be given again.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what is reused.")
    ] = False,
    track: TrackOption = None,
) -> Document:
    """Run an experiment, its published score beside ours.

    Written to the folder's own runs/, unless --workspace names another place.  The same
    command again goes on, and repeats nothing that is finished.
    """
    from cars_bench.experiments.experiment import load_experiment
    from cars_bench.workspace import Workspace

    found = load_experiment(experiment)
    workspace = session.workspace if session.workspace_named else Workspace(found.runs)
    if dry_run:
        return _dry_run(session, workspace, found, source, tuple(only or ()))
    pictures = found.source(source)
    from cars_bench.keras_backend import load_keras

    # Not `choose_backend`: heads are searched on the user's own choice, else the fastest.
    load_keras(session.progress, "tensorflow")
    from cars_bench.documents import to_json
    from cars_bench.experiments.run import run_experiment
    from cars_bench.experiments.table import rows_of
    from cars_bench.tracking.follow import tracked

    with tracked(track, workspace, session.progress) as follow:
        record = run_experiment(
            workspace, found, pictures, session.progress, tuple(only or ()), follow
        )
    rows = rows_of(record)
    for line in (*map(_line, rows), *_box_lines(record)):
        session.say(line)
    session.say(f"chosen on validation: {record.chosen or 'nothing before all attempts are done'}")
    where = record.folder(workspace)
    session.say(f"written: {where}\nnext: {next_command(workspace)}")
    return {
        "experiment": record.name,
        "backbone": record.backbone,
        "folder": str(where),
        "workspace": str(workspace.root),
        "chosen": record.chosen or None,
        "seconds": round(record.wall_seconds, 2),
        "attempts": [to_json(item) for item in record.attempts],
        "table": [to_json(row) for row in rows],
    }


def _line(row: Row) -> str:
    ours = row.lacking or accuracy(row.value, row.low, row.high)
    said = f"published {row.published:.1%}" if row.published is not None else "not published"
    return f"{row.what} ({row.split}): {ours}; {said}; {duration(row.seconds)}"


def _box_lines(record: ExperimentRecord) -> list[str]:
    """How good the boxes are of the attempts whose heads tell any."""
    return [
        f"{attempt.name} ({split}): {boxes.text}"
        for attempt in record.attempts
        for split, boxes in (("val", attempt.val_boxes), ("test", attempt.test_boxes))
        if boxes
    ]


def next_command(workspace: Workspace) -> str:
    """The command that shows this workspace's experiments, from the current folder."""
    from cars_bench.experiments.experiment import FOLDER, RUNS

    root = workspace.root
    beside = root.name == RUNS and root.parents[1:2] == (Path.cwd() / FOLDER,)
    if beside or root == workspace.locate().root:
        return "cars-bench report --experiments"
    return f"cars-bench report --experiments --workspace {quote(str(root))}"


def _dry_run(
    session: Session, workspace: Workspace, found: Experiment, source: Path | None,
    only: tuple[str, ...],
) -> Document:  # fmt: skip
    from cars_bench.documents import to_json
    from cars_bench.experiments.forecast import forecast

    ahead = forecast(workspace, found, source, only, session.progress)
    for item in ahead.attempts:
        done = "finished" if item.finished else "reused: " + (", ".join(item.reused) or "nothing")
        session.say(f"{item.name}: {item.backbone} at {item.image_size} px; {done}")
    images = f"{ahead.images:,} images" if ahead.images else "images not counted yet"
    time_left = f", about {duration(ahead.seconds)}" if ahead.seconds else ""
    session.say(f"{len(ahead.attempts)} attempts, {images}{time_left}; into {workspace.root}")
    return to_json(ahead) | {"experiment": found.name, "workspace": str(workspace.root)}
