"""Finished runs: the record `run.json`, and the files that lie beside it.

Everyone who wants to know something of a run is handed a `Run` or its
`RunRecord`; neither Keras nor anything that imports it is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cars_bench.data.card import SplitSummary
from cars_bench.data.detection import DetectorCrop
from cars_bench.documents import read_record, write_record
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.calibration import Temperature
from cars_bench.evaluation.metrics import SplitScore
from cars_bench.evaluation.predictions import (
    Predictions,
    predictions_file,
    read_predictions,
    write_predictions,
)
from cars_bench.finetune.handoff import FrozenCheck, Handoff, WholeCheck
from cars_bench.finetune.heatmaps import Heatmaps, read_heatmaps
from cars_bench.finetune.plan import FINAL, Steering, begun
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.speed import Speed
from cars_bench.training.checkpoint import HISTORY_FILE, EpochResult, read_history
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.study import Study

RUN_FILE = "run.json"
SAVED_MODEL = "saved_model"
FINETUNE = "cars-bench finetune --best"
FROZEN: Literal["frozen"] = "frozen"
FINETUNED: Literal["finetuned"] = "finetuned"

Stage = Literal["frozen", "finetuned"]
"""The head on features of the frozen backbone, or the finished model."""

STAGES: tuple[Stage, ...] = (FROZEN, FINETUNED)
MEASURED = ("val", "test")
"""Splits that a model is asked about."""


@dataclass(frozen=True)
class RunDataset:
    """The images.

    Attributes:
        name: Of the dataset.
        digest: Of all that the dataset says of its images.
        crop: What each image was cut to: `none`, `boxes` or `detector`.
        split: How they were split.
        detection: How a detector's boxes were found and chosen.
    """

    name: str
    digest: str
    crop: str
    split: SplitSummary
    detection: DetectorCrop | None = None


@dataclass(frozen=True)
class RunFeatures:
    """How the features were computed that the head was tuned on.

    Attributes:
        dtype: That they are stored in.
        runtime: That computed them.
        precision: That it computed in.
    """

    dtype: str
    runtime: str
    precision: str


@dataclass(frozen=True)
class RunBackbone:
    """The network below the head.

    Attributes:
        name: In the catalogue.
        image_size: Side of its input in pixels.
        pooling: How its feature map becomes one vector.
        weights_digest: SHA-256 of the weights it started from.
    """

    name: str
    image_size: int
    pooling: str
    weights_digest: str


@dataclass(frozen=True)
class Unfrozen:
    """What was trained.

    Attributes:
        text: As it was asked for.
        boundary: The last whole block below it; `None` when nothing below is frozen.
        layers: Names of the backbone's layers.
        trainable_parameters: Of these and the head.
    """

    text: str
    boundary: str | None
    layers: tuple[str, ...]
    trainable_parameters: int


@dataclass(frozen=True)
class SavedModelCheck:
    """The SavedModel against the model it was made of, on the same whole images.

    Attributes:
        images: How many were compared.
        undecodable: Images of a format that TensorFlow does not read.
        top1_agreement: Share with the same first answer; `None` where nothing was compared.
        max_abs_diff: Largest difference of two probabilities; the same.
    """

    images: int
    undecodable: int
    top1_agreement: float | None
    max_abs_diff: float | None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What `run.json` says.

    Attributes:
        run: Folder name under `tuning/STUDY/final/`.
        study: Name of the study.
        trial_id: The head that was finished.
        created: When, ISO 8601, UTC.
        dataset: The images.
        class_names: Index is the label.
        cache_key: Of the features that the head was tuned on.
        features: How these were computed.
        backbone: The network below the head.
        head: The head.
        width: Of the features it takes.
        unfreeze: What was trained.
        boundary_cache_key: Cache of activations that it was trained on; `None` on live images.
        training: How it was trained.
        recipe: How the head was finished, resolved.
        asked: The command line's words for all of it but study and trial.
        warm_up: Started from the trained head.
        refit: Trained on train and validation images together.
        seed: Of the order, the views and a fresh head.
        steering: Changes made by hand on the way.
        epochs: Trained; 0 where nothing was.
        best_epoch: The one that was kept, from 1.
        seconds: Wall time of the run's last session.
        training_seconds: Wall time of all epochs.
        handoff: The proof before anything was unfrozen.
        frozen_check: The proof that only what was unfrozen moved; `None` when nothing was.
        whole_check: The proof that the finished model answers as its trained part; `None`
            when it was trained whole.
        frozen: Accuracy of the head on cached features, by split.
        finetuned: Accuracy of the finished model, by split.
        backend: Keras backend that it was trained on.
        versions: Of what the numbers depend on.
        sha256: Digests of the model's files, by name.
        saved_model_check: How the SavedModel did, where one was written.
        speed: How fast the finished model answers; `None` where it was not measured.
        temperature: That was fitted on the validation images; `None` where these were trained
            on, where all of them are named right, and in runs made before it was kept.
    """

    run: str
    study: str
    trial_id: str
    created: str
    dataset: RunDataset
    class_names: tuple[str, ...]
    cache_key: str
    features: RunFeatures
    backbone: RunBackbone
    head: HeadSpec
    width: int
    unfreeze: Unfrozen
    boundary_cache_key: str | None
    training: TrainingSpec
    recipe: Recipe
    asked: tuple[str, ...]
    warm_up: bool
    refit: bool
    seed: int
    steering: tuple[Steering, ...]
    epochs: int
    best_epoch: int
    seconds: float
    training_seconds: float
    handoff: Handoff
    frozen_check: FrozenCheck | None
    whole_check: WholeCheck | None
    frozen: dict[str, SplitScore]
    finetuned: dict[str, SplitScore]
    backend: str
    versions: dict[str, str]
    sha256: dict[str, str]
    saved_model_check: SavedModelCheck | None
    speed: Speed | None = None
    temperature: Temperature | None = None

    @property
    def without_temperature(self) -> str:
        """Why it has no temperature; empty where it has one."""
        if self.temperature:
            return ""
        if self.refit:
            return "it was trained on the validation images, so none was fitted"
        score = self.finetuned.get("val")
        if score and score.top1.value == 1:
            return "every validation image is named right, so none can be fitted"
        return "it was made before one was kept; cars-bench evaluate --split val fits it"


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
        fix = f"delete {folder} and fine-tune again"
        return cls(folder, read_record(folder / RUN_FILE, RunRecord, missing, fix))

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

    def history(self) -> tuple[EpochResult, ...]:
        """Its epochs; none where nothing was trained.

        Raises:
            RecordDamaged: The file is not what was written.
        """
        return read_history(self.folder / HISTORY_FILE)

    def predictions(self, stage: Stage, split: str) -> Predictions | None:
        """What head or model said of each image of a split, if it was asked.

        Raises:
            InputError: The table is damaged.
        """
        path = predictions_path(self.folder, stage, split)
        return read_predictions(path) if path.is_file() else None

    def files(self) -> dict[Path, int]:
        """Files and folders of the finished model that are there, with their bytes."""
        found = [self.folder / name for name in (*self.record.sha256, SAVED_MODEL)]
        return {path: _size(path) for path in found if path.exists()}

    def answers(self) -> dict[tuple[str, str], Predictions]:
        """Every table of predictions that it has, by stage and split.

        Raises:
            InputError: A table is damaged.
        """
        places = [(stage, split) for stage in STAGES for split in MEASURED]
        found = {place: self.predictions(*place) for place in places}
        return {place: answers for place, answers in found.items() if answers}

    def keep_predictions(self, stage: Stage, split: str, answers: Predictions) -> None:
        """Write what head or model said of a split; a table that is there already stays."""
        path = predictions_path(self.folder, stage, split)
        if not path.is_file():
            write_predictions(path, answers)

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
    """The finished runs of a study by name.

    Raises:
        RecordDamaged: One's record is not what was written.
    """
    return tuple(Run.open(path.parent) for path in run_records(study.folder))


def run_records(study_folder: Path) -> list[Path]:
    """The records of a study's finished runs, by name."""
    return sorted((study_folder / FINAL).glob(f"*/{RUN_FILE}"))


def is_finished(folder: Path) -> bool:
    """Whether a run's folder holds its record, which comes last."""
    return (folder / RUN_FILE).is_file()


def unfinished(study: Study) -> tuple[str, ...]:
    """Names of the runs that were begun and not ended."""
    return tuple(folder.name for folder in begun(study) if not is_finished(folder))


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
