"""What lies beside a trained head: its record, and what it answered where `evaluate` asked it.

Keras is not imported here, so that a report can be written without it;
`trained_head` trains what is stored here and reads its weights and its witness.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from cars_bench.documents import read_record, write_record
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.boxes import BoxScore
from cars_bench.evaluation.predictions import (
    AGAIN,
    Predictions,
    predictions_file,
    read_predictions,
    write_predictions,
)
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.study import DatasetReference, Study
from cars_bench.workspace import is_written, require_written, sha256_file

WINNER = "winner"
RECORD_FILE = "winner.json"
MISSING = "cars-bench tune --trials 100"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class HeadRecord:
    """`winner.json` of a trained head.

    Attributes:
        trial_id: The trial it was.
        study: Its study.
        head: The head.
        training: How it was trained.
        refit: `train+val` when it was trained on the validation images too, else empty.
        score: Validation top-1 of this very training; `None` after a refit.
        ledger_score: The trial's own.
        best_epoch: Whose weights it has, from 1.
        width: Width of the features it takes, or channels of the maps.
        class_names: Index is the label.
        cache_key: Of these features.
        dataset: That they were made of.
        weights_sha256: Digest of its weights.
        tables: Digests of its witness and of what it answered, by file name.
        sides: Height and width of the maps it takes; empty for pooled features.
        boxes: How good its boxes are on the validation images; `None` where it tells none, where
            it was trained on these images, and in heads stored before it was kept.
    """

    trial_id: str
    study: str
    head: HeadSpec
    training: TrainingSpec
    refit: str
    score: float | None
    ledger_score: float | None
    best_epoch: int
    width: int
    class_names: tuple[str, ...]
    cache_key: str
    dataset: DatasetReference
    weights_sha256: str
    tables: dict[str, str] = field(default_factory=dict)
    sides: tuple[int, ...] = ()
    boxes: BoxScore | None = None


@dataclass(frozen=True)
class StoredHead:
    """A trained head on disk.

    Attributes:
        folder: `tuning/STUDY/winner`, or `tuning/STUDY/heads/TRIAL`.
        record: Its `winner.json`.
    """

    folder: Path
    record: HeadRecord

    @classmethod
    def open(cls, folder: Path) -> StoredHead:
        """Read a head's record.

        Raises:
            ModelMissing: There is no head.
            RecordDamaged: The record is not what was written.
        """
        missing = ModelMissing(f"There is no trained head in {folder}.", MISSING)
        return cls(folder, read_record(folder / RECORD_FILE, HeadRecord, missing, again(folder)))

    def write(self) -> None:
        """Write the record, which comes last: a folder that has it holds a head."""
        write_record(self.folder / RECORD_FILE, self.record)

    def answers(self, split: str) -> Predictions | None:
        """What the head said of each image of a split, if it was asked.

        Raises:
            RecordDamaged: The table is not what was written.
        """
        path = self.folder / predictions_file(split)
        if not path.is_file():
            return None
        require_written(path, self.record.tables.get(path.name), AGAIN)
        return read_predictions(path, self.record.class_names)

    def keep_answers(self, split: str, answers: Predictions) -> StoredHead:
        """Write what the head said of a split; a whole table that is there already stays."""
        path = self.folder / predictions_file(split)
        tables = self.record.tables
        if is_written(path, tables.get(path.name)):
            return self
        write_predictions(path, answers, answers.boxed)
        tables = tables | {path.name: sha256_file(path)}
        kept = StoredHead(self.folder, replace(self.record, tables=tables))
        kept.write()
        return kept


def stored(folder: Path) -> StoredHead | None:
    """The head in a folder, if there is one.

    Raises:
        RecordDamaged: Its record is not what was written.
    """
    return StoredHead.open(folder) if (folder / RECORD_FILE).is_file() else None


def is_stored(folder: Path, trial_id: str, refit: str) -> bool:
    """Whether a folder holds the head of this trial, trained on these images.

    Raises:
        RecordDamaged: Its record is not what was written.
    """
    held = stored(folder)
    return held is not None and (held.record.trial_id, held.record.refit) == (trial_id, refit)


def stored_winner(study: Study) -> StoredHead | None:
    """The head in a study's `winner/`, if there is one.

    Raises:
        RecordDamaged: Its record is not what was written.
    """
    return stored(study.folder / WINNER)


def winner_boxes(study: Study) -> BoxScore | None:
    """How good the boxes of a study's winner are on validation; as `HeadRecord.boxes`.

    Raises:
        RecordDamaged: As `stored_winner`.
    """
    head = stored_winner(study)
    return head.record.boxes if head else None


def discard(folder: Path) -> None:
    """Make room for another head: first the record goes, then what the old head answered."""
    (folder / RECORD_FILE).unlink(missing_ok=True)
    for split in SPLITS:
        (folder / predictions_file(split)).unlink(missing_ok=True)


def again(folder: Path) -> str:
    """What mends a damaged head."""
    return f"delete {folder} and run the command again"
