"""What a training has come to, and where it stands on disk; Keras is not imported here.

A checkpoint is one file, replaced whole after each epoch: fine-tuning and search
write and read it in the same way and refuse it for the same reasons.
"""

from __future__ import annotations

import contextlib
import csv
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cars_bench.atomic import atomic_file
from cars_bench.documents import at_least, from_json, within
from cars_bench.errors import CarsBenchError, RecordDamaged, UsageError
from cars_bench.workspace import plain_bytes

CHECKPOINT_FILE = "checkpoint.npz"
HISTORY_FILE = "history.csv"

ARRAY_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    SyntaxError,
    tokenize.TokenError,
    AttributeError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    OSError,
)
"""What numpy raises for an `.npz` file that was damaged."""

Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch came to.

    Attributes:
        epoch: From 1.
        train_loss: Mean loss over the batches, penalties included.
        val_loss: Cross entropy on the validation images, `None` without them.
        val_top1: Share of validation images classified right, `None` without them.
        learning_rate: Of the last step.
        seconds: Wall time, evaluation included.
        val_iou: Mean IoU of the boxes on the validation images, `None` where none are learnt.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    val_top1: float | None
    learning_rate: float
    seconds: float
    val_iou: float | None = None

    def __post_init__(self) -> None:
        at_least("epoch", self.epoch, 1)
        if self.val_iou is not None:
            within("val_iou", self.val_iou, 0, 1)
        if self.val_top1 is not None:
            within("val_top1", self.val_top1, 0, 1)


@dataclass
class TrainingState:
    """Where a training stands: all that a resumed one needs.

    Attributes:
        history: Finished epochs.
        best_epoch: From 1; 0 before the first.
        best: Model variables at the best epoch.
        current: Model and optimizer variables now.
    """

    history: list[EpochResult]
    best_epoch: int
    best: Arrays
    current: Arrays

    @classmethod
    def untrained(cls) -> TrainingState:
        """Before the first epoch."""
        return cls([], 0, [], [])

    @property
    def best_top1(self) -> float:
        """Validation top-1 at the best epoch."""
        return self.history[self.best_epoch - 1].val_top1 or 0.0


@dataclass(frozen=True, kw_only=True)
class _About:
    """What a checkpoint holds beside its arrays.

    Attributes:
        identity: What is trained and how.
        history: Finished epochs.
        best_epoch: From 1.
        best: Number of arrays of the best epoch.
        current: Number of arrays of now.
    """

    identity: dict[str, Any]
    history: tuple[EpochResult, ...]
    best_epoch: int
    best: int
    current: int

    def __post_init__(self) -> None:
        within("best_epoch", self.best_epoch, min(1, len(self.history)), len(self.history))
        within("best", self.best, 0, self.current)


@contextlib.contextmanager
def opened_arrays(path: Path, fix: str) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """The arrays of an `.npz` file, read as the body asks for them; nothing is unpickled.

    Args:
        path: As `np.savez` writes it: nothing in it is compressed, so it unpacks to no more
            than its own size.
        fix: What mends a damaged one.

    Raises:
        RecordDamaged: It is damaged, or what the body makes of it fails.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            if any(item.compress_type for item in packed.infolist()):
                raise zipfile.BadZipFile("it is compressed")
        with np.load(path, allow_pickle=False) as stored:
            yield stored
    except (*ARRAY_DAMAGE, UsageError) as error:
        said = str(error) or type(error).__name__
        raise RecordDamaged(f"{path} is damaged ({said.rstrip('.')}).", fix) from error


def write_checkpoint(path: Path, state: TrainingState, identity: dict[str, Any]) -> None:
    """Write where a training stands, atomically.

    Each array is stored uncompressed in a zip, whose checksums find damage.

    Args:
        path: An `.npz` file.
        state: Finished epochs, and variables of model and optimizer.
        identity: Plain JSON values of what is trained and how; read back only by the same.
    """
    about = _About(
        identity=identity,
        history=tuple(state.history),
        best_epoch=state.best_epoch,
        best=len(state.best),
        current=len(state.current),
    )
    arrays = {f"best{index}": value for index, value in enumerate(state.best)}
    arrays |= {f"current{index}": value for index, value in enumerate(state.current)}
    with atomic_file(path) as stream:
        np.savez(stream, allow_pickle=False, about=np.array(json.dumps(asdict(about))), **arrays)


def read_checkpoint(
    path: Path, identity: dict[str, Any], read: Callable[[dict[str, Any]], Any] = dict
) -> TrainingState | None:
    """Where the training stood; `None` before its first epoch was written.

    Args:
        path: As for `write_checkpoint`.
        identity: Of the training that is to go on.
        read: Makes of an identity what is compared: one that an older version wrote may lack
            fields that have a default.

    Raises:
        RecordDamaged: It is damaged.
        CarsBenchError: It belongs to another training.
    """
    if not path.is_file():
        return None
    with opened_arrays(path, _begin_again(path)) as stored:
        about = _about(stored)
        best = [stored[f"best{index}"] for index in range(about.best)]
        current = [stored[f"current{index}"] for index in range(about.current)]
    if not _alike(about.identity, json.loads(json.dumps(identity)), read):
        raise CarsBenchError(f"{path} belongs to another training.", _begin_again(path))
    return TrainingState([*about.history], about.best_epoch, best, current)


def _alike(
    found: dict[str, Any], wanted: dict[str, Any], read: Callable[[dict[str, Any]], Any]
) -> bool:
    """Whether two identities mean the same; one that cannot be read is another one."""
    try:
        return bool(read(found) == read(wanted))
    except UsageError:
        return False


def finished_epochs(path: Path) -> int:
    """How many epochs a checkpoint holds; 0 without one, or with a damaged one."""
    return len(checkpoint_history(path))


def checkpoint_history(path: Path) -> tuple[EpochResult, ...]:
    """The finished epochs of a checkpoint; none without one, or with a damaged one."""
    if not path.is_file():
        return ()
    try:
        with opened_arrays(path, _begin_again(path)) as stored:
            return _about(stored).history
    except RecordDamaged:
        return ()


def write_history(path: Path, rows: Sequence[EpochResult]) -> None:
    """Write finished epochs as CSV, atomically."""
    with atomic_file(path, "w") as stream:
        writer = csv.DictWriter(stream, [item.name for item in fields(EpochResult)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_history(path: Path) -> tuple[EpochResult, ...]:
    """Read what `write_history` wrote; no epochs without a file.

    Raises:
        RecordDamaged: It holds something else.
    """
    try:
        lines = plain_bytes(path).decode().splitlines()
        rows = tuple(_epoch(row) for row in csv.DictReader(lines))
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError, KeyError, csv.Error, UsageError) as error:
        raise RecordDamaged(f"{path} is damaged ({error}).", "run it again") from error
    if [row.epoch for row in rows] != list(range(1, len(rows) + 1)):
        raise RecordDamaged(f"{path} is damaged: an epoch is missing.", "run it again")
    return rows


def _about(stored: Any) -> _About:
    return from_json(_About, json.loads(str(stored["about"])))


def _epoch(row: dict[str, str]) -> EpochResult:
    values = {name: float(text) if text else None for name, text in row.items()}
    return from_json(EpochResult, values | {"epoch": int(row["epoch"])})


def _begin_again(path: Path) -> str:
    return f"delete {path} and run again, from the first epoch"
