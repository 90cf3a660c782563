"""What a finished run leaves on disk: the model, its predictions, its history, its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from cars_bench.atomic import atomic_path
from cars_bench.data.dataset import Dataset, Split, evenly
from cars_bench.data.pixels import prepared_bytes
from cars_bench.evaluation.boxes import box_score
from cars_bench.evaluation.calibration import Temperature, fitted_temperature
from cars_bench.evaluation.metrics import SplitScore, score
from cars_bench.evaluation.predictions import Predictions, predictions, write_predictions
from cars_bench.finetune.finished import WEIGHTS_FILE
from cars_bench.finetune.grad_cam import heatmaps_of
from cars_bench.finetune.handoff import FrozenCheck, Handoff, WholeCheck
from cars_bench.finetune.heatmaps import write_heatmaps
from cars_bench.finetune.model_card import write_card
from cars_bench.finetune.prepared_run import PreparedRun
from cars_bench.finetune.run_record import (
    BoxScores,
    RunBackbone,
    RunBoxes,
    RunDataset,
    RunFeatures,
    RunRecord,
    SavedModelCheck,
    Unfrozen,
)
from cars_bench.finetune.runs import FINETUNED, FROZEN, SAVED_MODEL, Run, Stage, predictions_path
from cars_bench.finetune.saved_model import check_saved_model, export_saved_model
from cars_bench.finetune.speed import Speed, measure_speed
from cars_bench.progress import Progress
from cars_bench.training.answers import Answers, Floats
from cars_bench.training.checkpoint import HISTORY_FILE, TrainingState, write_history
from cars_bench.tuning.study import now, package_versions
from cars_bench.workspace import sha256_file

MODEL_FILE = "model.keras"
CHECKED_IMAGES = 16

SplitAnswers = Mapping[Split, Answers]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What the training of a run came to; its checks are `None` where there is nothing to check.

    Attributes:
        state: The training's end.
        frozen_check: Only what was unfrozen moved.
        whole_check: The finished model answers as its part that was trained does.
        boundary_key: Cache of activations that it was trained on, if any.
        val: What the finished model says of the validation images, where the check asked it.
    """

    state: TrainingState
    frozen_check: FrozenCheck | None = None
    whole_check: WholeCheck | None = None
    boundary_key: str | None = None
    val: Answers | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to.

    Attributes:
        handoff: The proof before anything was unfrozen.
        trained: The training and its checks.
        frozen: What the head says of cached features, by split.
        finetuned: What the finished model says of the images, by split.
        seconds: Wall time of the last session of the run.
    """

    handoff: Handoff
    trained: Trained
    frozen: SplitAnswers
    finetuned: SplitAnswers
    seconds: float


def write_run(prepared: PreparedRun, outcome: Outcome, progress: Progress) -> Run:
    """Write the finished model and all that goes with it; the record is the done mark."""
    folder = prepared.folder
    progress.log(f"Writing the model to {folder}")
    with atomic_path(folder / MODEL_FILE) as temporary:
        prepared.assembled.finished().save(temporary)
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        prepared.assembled.whole().save_weights(temporary)
    write_history(folder / HISTORY_FILE, outcome.trained.state.history)
    tables = write_tables(prepared, FROZEN, outcome.frozen)
    tables |= write_tables(prepared, FINETUNED, outcome.finetuned)
    tables[HISTORY_FILE] = sha256_file(folder / HISTORY_FILE)
    return seal(prepared, replace(_record(prepared, outcome), tables=tables), progress)


def seal(prepared: PreparedRun, record: RunRecord, progress: Progress) -> Run:
    """Write the card, for a model measured on test the SavedModel and heatmaps, the record last."""
    run = Run(prepared.folder, record)
    if run.score(FINETUNED, "test"):
        progress.log("Exporting the SavedModel and comparing it with the model")
        run = replace(run, record=replace(record, saved_model_check=_exported(prepared)))
        progress.log("Timing the model on this machine")
        run = replace(run, record=replace(run.record, speed=_speed(prepared)))
        progress.log("Drawing heatmaps of some test images")
        answers = run.predictions(FINETUNED, "test")
        found = heatmaps_of(prepared.assembled, answers, prepared.dataset) if answers else None
        if found:
            write_heatmaps(run.folder, found)
    write_card(run)
    return run.write()


def scores(prepared: PreparedRun, answers: SplitAnswers) -> dict[str, SplitScore]:
    """Accuracies with intervals, by split."""
    return {split: score(said.logits, prepared.labels(split)) for split, said in answers.items()}


def boxes_of(prepared: PreparedRun, frozen: SplitAnswers, finetuned: SplitAnswers) -> RunBoxes:
    """How good the boxes are, by stage and split."""
    true = prepared.dataset.object_boxes
    found: list[BoxScores] = [
        {
            split: judged
            for split, said in answers.items()
            if said.boxes is not None and (judged := box_score(_table(prepared, split, said), true))
        }
        for answers in (frozen, finetuned)
    ]
    return RunBoxes(*found)


def write_tables(prepared: PreparedRun, stage: Stage, answers: SplitAnswers) -> dict[str, str]:
    """Write a table of predictions for each split; gives their digests by name."""
    digests = {}
    for split, said in answers.items():
        path = predictions_path(prepared.folder, stage, split)
        rows = _table(prepared, split, said)
        write_predictions(path, rows, rows.boxed)
        digests[path.name] = sha256_file(path)
    return digests


def _table(prepared: PreparedRun, split: Split, said: Answers) -> Predictions:
    dataset = prepared.dataset
    ids = [record.image_id for record in dataset.records(split)]
    return answers_table(dataset, ids, said, prepared.head.class_names, prepared.labels(split))


def answers_table(
    dataset: Dataset,
    ids: Sequence[str],
    said: Answers,
    names: Sequence[str],
    labels: Sequence[int] | np.ndarray,
) -> Predictions:
    """What a model says of N images as a table, with its boxes in pixels if it tells any."""
    return predictions(ids, said.logits, names, labels, _pixel_boxes(dataset, ids, said.boxes))


def _pixel_boxes(dataset: Dataset, ids: Sequence[str], boxes: Floats | None) -> Floats | None:
    """Boxes as shares of whole pictures `[N, 4]` -> in pixels of the upright originals."""
    if boxes is None:
        return None
    images = [dataset.images[image_id] for image_id in ids]
    return boxes * np.array([[item.width, item.height] * 2 for item in images], np.float32)


def _exported(prepared: PreparedRun) -> SavedModelCheck | None:
    """Write the SavedModel and compare it with the model on a few validation images."""
    finished = prepared.assembled.finished()
    names = prepared.head.class_names
    size = prepared.assembled.backbone.image_size
    saved = export_saved_model(prepared.folder / SAVED_MODEL, finished, names, size)
    if saved is None:
        return None
    records = prepared.dataset.records("val")
    files = [prepared_bytes(record) for record in evenly(records, CHECKED_IMAGES)]
    return check_saved_model(saved, finished, names, size, files)


def _speed(prepared: PreparedRun) -> Speed:
    """As `predict` asks it: a batch a call, on what Keras runs on."""
    finished = prepared.assembled.finished()
    accelerators = len(keras.distribution.list_devices("gpu"))
    size = prepared.assembled.backbone.image_size
    return measure_speed(finished.predict_on_batch, size, accelerators)


def _record(prepared: PreparedRun, outcome: Outcome) -> RunRecord:
    """The run's record, but for its tables and the SavedModel's check."""
    plan = prepared.plan
    trained = outcome.trained
    history = trained.state.history
    features = prepared.cache.recipe
    return RunRecord(
        run=plan.run,
        study=plan.study,
        trial_id=plan.trial_id,
        created=now(),
        dataset=_dataset(prepared),
        class_names=tuple(prepared.head.class_names),
        cache_key=prepared.cache.key,
        features=RunFeatures(features.dtype, features.runtime, features.precision),
        backbone=RunBackbone(
            name=features.backbone,
            image_size=features.image_size,
            pooling=features.pooling,
            weights_digest=features.weights_digest,
            boundary=features.boundary,
        ),
        head=prepared.head.spec,
        width=prepared.head.record.width,
        sides=prepared.head.record.sides,
        unfreeze=_unfrozen(prepared),
        boundary_cache_key=trained.boundary_key,
        training=plan.recipe.training,
        recipe=plan.recipe,
        asked=plan.asked,
        warm_up=plan.warm_up,
        refit=plan.refit,
        seed=plan.seed,
        steering=plan.steering,
        purpose=plan.purpose,
        early_pixels=prepared.early_pixels,
        epochs=len(history),
        best_epoch=trained.state.best_epoch,
        seconds=round(outcome.seconds, 1),
        training_seconds=round(sum((row.seconds for row in history), 0.0), 1),
        handoff=outcome.handoff,
        frozen_check=trained.frozen_check,
        whole_check=trained.whole_check,
        frozen=scores(prepared, outcome.frozen),
        finetuned=scores(prepared, outcome.finetuned),
        backend=keras.backend.backend(),
        versions=package_versions(),
        sha256={name: sha256_file(prepared.folder / name) for name in (MODEL_FILE, WEIGHTS_FILE)},
        saved_model_check=None,
        temperature=_temperature(prepared, outcome.finetuned),
        boxes=boxes_of(prepared, outcome.frozen, outcome.finetuned),
    )


def _temperature(prepared: PreparedRun, answers: SplitAnswers) -> Temperature | None:
    """Fitted on the validation images, unless these were trained on; measured on every split."""
    if "val" not in answers:
        return None
    fitted = fitted_temperature(answers["val"].logits, prepared.labels("val"))
    return fitted and with_splits(fitted, prepared, answers)


def with_splits(
    temperature: Temperature, prepared: PreparedRun, answers: SplitAnswers
) -> Temperature:
    """With what it does on each split that the model was asked about."""
    for split, said in answers.items():
        temperature = temperature.measured(split, said.logits, prepared.labels(split))
    return temperature


def _dataset(prepared: PreparedRun) -> RunDataset:
    dataset = prepared.dataset
    found = dataset.card.detection
    return RunDataset(
        name=dataset.name,
        digest=dataset.digest,
        crop=dataset.crop,
        split=dataset.card.split,
        detection=found.crop if found and dataset.is_cropped else None,
    )


def _unfrozen(prepared: PreparedRun) -> Unfrozen:
    unfreeze = prepared.unfreeze
    variables = prepared.assembled.whole().trainable_variables
    return Unfrozen(
        text=unfreeze.text,
        boundary=unfreeze.boundary,
        layers=unfreeze.layers,
        trainable_parameters=int(sum(np.prod(item.shape) for item in variables)),
    )
