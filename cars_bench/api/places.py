"""Where the API reads and writes: paths as Python has them, and the workspace."""

from __future__ import annotations

import os
from pathlib import Path

from cars_bench.data.detection import DetectorFiles
from cars_bench.detectors.choose import detector_files
from cars_bench.workspace import Workspace

StrPath = str | os.PathLike[str]


def place_of(folder: StrPath | None) -> Workspace:
    """The workspace in a folder; `None` is `$CARS_BENCH_WORKSPACE`, else the current folder."""
    return Workspace.locate(path_of(folder))


def path_of(path: StrPath | None) -> Path | None:
    """The path, where one is given."""
    return None if path is None else Path(path)


def files_of(
    weights: StrPath | None, python: StrPath | None, names: StrPath | None
) -> DetectorFiles:
    """The files of a detector."""
    return detector_files(path_of(weights), path_of(python), path_of(names))
