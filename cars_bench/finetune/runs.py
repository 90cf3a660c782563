"""Finished runs: the record `run.json`, and the files that lie beside it.

Who wants to know something of a run is handed it or its record; Keras is not imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cars_bench.documents import read_record, write_record
from cars_bench.errors import ModelMissing, RecordDamaged
from cars_bench.evaluation.boxes import BoxScore
from cars_bench.evaluation.metrics import SplitScore
from cars_bench.evaluation.predictions import (
    AGAIN,
    Predictions,
    predictions_file,
    read_predictions,
    score_of,
    write_predictions,
)
from cars_bench.finetune.heatmaps import Heatmaps, read_heatmaps
from cars_bench.finetune.plan import FINAL, begun, is_own
from cars_bench.finetune.run_record import RunRecord
from cars_bench.training.checkpoint import HISTORY_FILE, EpochResult, read_history
from cars_bench.tuning.study import Study
from cars_bench.workspace import is_written, require_written, sha256_file

RUN_FILE = "run.json"
SAVED_MODEL = "saved_model"
FINETUNE = "cars-bench finetune --best"
AGAIN_FROM_START = "delete the run's folder and fine-tune again"
FROZEN: Literal["frozen"] = "frozen"
FINETUNED: Literal["finetuned"] = "finetuned"

Stage = Literal["frozen", "finetuned"]
"""The head on features of the frozen backbone, or the finished model."""

STAGES: tuple[Stage, ...] = (FROZEN, FINETUNED)
MEASURED = ("val", "test")
"""Splits that a model is asked about."""


@dataclass(frozen=True)
class Run:
    """A finished run on disk.

    Attributes:
        folder: `tuning/STUDY/final/RUN`.
        record: Its `run.json`.
    """

    folder: Path
    record: RunRecord

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Read a run's record.

        Raises:
            ModelMissing: There is no finished run.
            RecordDamaged: The record is not what was written.
        """
        missing = ModelMissing(f"There is no finished model in {folder}.", FINETUNE)
        path = folder / RUN_FILE
        return cls(folder, read_record(path, RunRecord, missing, AGAIN_FROM_START))

    def write(self) -> Run:
        """Write the record, which comes last: a folder that has it is a finished run."""
        write_record(self.folder / RUN_FILE, self.record)
        return self

    @property
    def name(self) -> str:
        """Folder name under `tuning/STUDY/final/`."""
        return self.folder.name

    def scores(self, stage: Stage) -> dict[str, SplitScore]:
        """Accuracies by split, of those that were measured."""
        return self.record.frozen if stage == FROZEN else self.record.finetuned

    def score(self, stage: Stage, split: str) -> SplitScore | None:
        """Accuracy on a split, if it was measured."""
        return self.scores(stage).get(split)

    def box_score(self, stage: Stage, split: str) -> BoxScore | None:
        """How good its boxes are on a split, where it tells any and was measured."""
        boxes = self.record.boxes
        return (boxes.frozen if stage == FROZEN else boxes.finetuned).get(split)

    def history(self) -> tuple[EpochResult, ...]:
        """Its epochs; none where nothing was trained.

        Raises:
            RecordDamaged: The file is not what was written.
        """
        path = self.folder / HISTORY_FILE
        if HISTORY_FILE in self.record.tables:
            require_written(path, self.record.tables[HISTORY_FILE], AGAIN_FROM_START)
        return read_history(path)

    def predictions(self, stage: Stage, split: str) -> Predictions | None:
        """What head or model said of each image of a split, if it was asked.

        Raises:
            RecordDamaged: As `table`.
        """
        found = predictions_path(self.folder, stage, split).is_file()
        return self.table(stage, split) if found else None

    def table(self, stage: Stage, split: str) -> Predictions:
        """What head or model said of each image of a split.

        Raises:
            InputError: It was not asked.
            RecordDamaged: The table is not what was written, or refutes the recorded score.
        """
        path = predictions_path(self.folder, stage, split)
        found = read_predictions(path, self.record.class_names)
        require_written(path, self.record.tables.get(path.name), AGAIN)
        recorded = self.score(stage, split)
        if recorded and not recorded.close_to(score_of(found)):
            raise RecordDamaged(
                f"{self.folder / RUN_FILE} says top-1 {recorded.top1.value:.4f} on {split}, "
                f"and {path.name} beside it says {score_of(found).top1.value:.4f}.",
                AGAIN_FROM_START,
            )
        return found

    def files(self) -> dict[Path, int]:
        """Files and folders of the finished model that are there, with their bytes."""
        found = [self.folder / name for name in (*self.record.sha256, SAVED_MODEL)]
        return {path: _size(path) for path in found if path.exists()}

    def answers(self) -> dict[tuple[str, str], Predictions]:
        """Every table of predictions that it has, by stage and split.

        Raises:
            RecordDamaged: As `table`.
        """
        places = [(stage, split) for stage in STAGES for split in MEASURED]
        found = {place: self.predictions(*place) for place in places}
        return {place: answers for place, answers in found.items() if answers}

    def with_predictions(self, stage: Stage, split: str, answers: Predictions) -> Run:
        """Write what head or model said of a split; a whole table that is there already stays.

        Returns:
            The run with the table's digest in its record, which is not written yet.
        """
        path = predictions_path(self.folder, stage, split)
        tables = self.record.tables
        if is_written(path, tables.get(path.name)):
            return self
        write_predictions(path, answers, answers.boxed)
        tables = tables | {path.name: sha256_file(path)}
        return replace(self, record=replace(self.record, tables=tables))

    def heatmaps(self) -> Heatmaps | None:
        """Where the model looked on some test images, if it was computed.

        Raises:
            RecordDamaged: The file is not what was written.
        """
        return read_heatmaps(self.folder)


def _size(path: Path) -> int:
    below = path.rglob("*") if path.is_dir() else [path]
    return sum(item.stat().st_size for item in below if item.is_file())


def predictions_path(folder: Path, stage: Stage, split: str) -> Path:
    """The table of predictions in a run's folder."""
    suffix = "-frozen" if stage == FROZEN else ""
    return folder / predictions_file(split, suffix)


def runs(study: Study) -> tuple[Run, ...]:
    """The user's finished runs of a study by name; not those that only measure something.

    Raises:
        RecordDamaged: One's record is not what was written.
    """
    found = (Run.open(path.parent) for path in run_records(study.folder))
    return tuple(run for run in found if not run.record.purpose)


def run_records(study_folder: Path) -> list[Path]:
    """The records of a study's finished runs, by name."""
    return sorted((study_folder / FINAL).glob(f"*/{RUN_FILE}"))


def is_finished(folder: Path) -> bool:
    """Whether a run's folder holds its record, which comes last."""
    return (folder / RUN_FILE).is_file()


def unfinished(study: Study) -> tuple[str, ...]:
    """Names of the user's runs that were begun and not ended."""
    left = (folder for folder in begun(study) if not is_finished(folder))
    return tuple(folder.name for folder in left if is_own(folder))


def frozen_test_top1(study: Study, trial_id: str) -> float | None:
    """Test top-1 of a trial's head before fine-tuning, from the last run that measured it."""
    scores = [run.score(FROZEN, "test") for run in runs(study) if run.record.trial_id == trial_id]
    found = [score.top1.value for score in scores if score]
    return found[-1] if found else None


def best_run(candidates: Sequence[Run]) -> Run | None:
    """The run with the best validation top-1, never chosen on test; the first where none has any.

    Among equals it is the first one.
    """
    return max(candidates, key=_validation_top1, default=None)


def _validation_top1(run: Run) -> float:
    score = run.score(FINETUNED, "val")
    return score.top1.value if score else -1.0
