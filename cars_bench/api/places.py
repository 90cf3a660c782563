"""What the API is given: paths and numbers as Python has them, and the workspace."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

from cars_bench.data.detection import DetectorFiles
from cars_bench.detectors.choose import detector_files
from cars_bench.errors import UsageError, shown
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


def whole(**given: int | None) -> dict[str, Any]:
    """Whole numbers by name, numpy's too; a notebook has no parser that refuses others.

    Raises:
        UsageError: One is none, which would be written into records that nobody can read.
    """
    return {name: None if value is None else _whole(name, value) for name, value in given.items()}


def _whole(name: str, value: int) -> int:
    try:
        return int(operator.index(value))
    except TypeError:
        told = f"{name} must be a whole number, got {shown(value)}."
        raise UsageError(told, f"{name}=1, without a point or quotes") from None
