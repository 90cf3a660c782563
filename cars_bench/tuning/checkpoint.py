"""Where a long trial stands, on disk, so that a killed search loses one epoch at most."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cars_bench.training.loop import Epoch, Position
from cars_bench.workspace import atomic_file


def write_position(path: Path, position: Position, identity: dict[str, Any]) -> None:
    """Write a training's position, atomically.

    Args:
        path: An `.npz` file.
        position: Finished epochs, and variables of model and optimizer.
        identity: What is trained and how; read back only by the same.
    """
    head = {
        "identity": identity,
        "history": [asdict(row) for row in position.history],
        "best_epoch": position.best_epoch,
    }
    arrays: dict[str, Any] = {"document": np.array(json.dumps(head))}
    arrays |= {f"best{index:04d}": value for index, value in enumerate(position.best)}
    arrays |= {f"current{index:04d}": value for index, value in enumerate(position.current)}
    with atomic_file(path) as stream:
        np.savez(stream, **arrays)


def read_position(path: Path, identity: dict[str, Any]) -> Position | None:
    """The position in `path`; `None` if there is none, or of another training."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        head = json.loads(str(stored["document"]))
        if head["identity"] != json.loads(json.dumps(identity)):
            return None
        best, current = (
            [stored[name] for name in sorted(stored.files) if name.startswith(kind)]
            for kind in ("best", "current")
        )
    return Position([Epoch(**row) for row in head["history"]], head["best_epoch"], best, current)
