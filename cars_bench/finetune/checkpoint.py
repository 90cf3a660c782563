"""Where a training stands, on disk: one file, replaced whole after each epoch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cars_bench.errors import CarsBenchError
from cars_bench.training.loop import Epoch, Position
from cars_bench.workspace import NPZ_DAMAGE, atomic_file

CHECKPOINT_FILE = "checkpoint.npz"
KINDS = ("current", "best")


def save_checkpoint(folder: Path, position: Position, model: keras.Model) -> None:
    """Write weights, optimizer, best weights and history; atomic.

    Each array is stored uncompressed in a zip, whose checksums find damage.
    """
    about = {
        "history": [asdict(row) for row in position.history],
        "best_epoch": position.best_epoch,
        "weights": _names(model),
        "arrays": {"current": len(position.current), "best": len(position.best)},
    }
    arrays = {f"current{index}": value for index, value in enumerate(position.current)}
    arrays |= {f"best{index}": value for index, value in enumerate(position.best)}
    with atomic_file(folder / CHECKPOINT_FILE) as stream:
        np.savez(stream, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)


def load_checkpoint(folder: Path, model: keras.Model) -> Position | None:
    """The stored position, `None` before the first epoch's end.

    Raises:
        CarsBenchError: It is damaged, or was made by another model.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            about: dict[str, Any] = json.loads(str(stored["about"]))
            current, best = (_row(stored, kind, about["arrays"][kind]) for kind in KINDS)
    except NPZ_DAMAGE as error:
        raise CarsBenchError(f"{path} is damaged ({error}).", _begin_again(path)) from error
    if about["weights"] != _names(model):
        raise CarsBenchError(f"{path} belongs to another model.", _begin_again(path))
    history = [Epoch(**row) for row in about["history"]]
    return Position(history, int(about["best_epoch"]), best, current)


def finished_epochs(folder: Path) -> int:
    """How many epochs the checkpoint holds; 0 without one, or with a damaged one."""
    try:
        with np.load(folder / CHECKPOINT_FILE, allow_pickle=False) as stored:
            return len(json.loads(str(stored["about"]))["history"])
    except NPZ_DAMAGE:
        return 0


def _names(model: keras.Model) -> list[list[Any]]:
    return [[variable.path, *variable.shape] for variable in model.weights]


def _begin_again(path: Path) -> str:
    return f"delete {path} and run again, from the first epoch"


def _row(stored: Any, kind: str, count: int) -> list[Any]:
    return [stored[f"{kind}{index}"] for index in range(count)]
