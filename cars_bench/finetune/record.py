"""What a finished run leaves on disk: the model, its predictions, its history, its record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench import SCHEMA_VERSION
from cars_bench.data.dataset import Split
from cars_bench.data.pixels import prepared_bytes
from cars_bench.documents import to_json
from cars_bench.evaluation.metrics import score
from cars_bench.evaluation.predictions import predictions, write_predictions
from cars_bench.finetune.handoff import FrozenCheck, Handoff, WholeCheck
from cars_bench.finetune.looks import write_looks
from cars_bench.finetune.model_card import write_card
from cars_bench.finetune.plan import RUN_FILE
from cars_bench.finetune.prepared_run import Job
from cars_bench.finetune.saved_model import check_saved_model, export_saved_model
from cars_bench.training.checkpoint import HISTORY_FILE, TrainingState, write_history
from cars_bench.tuning.study import now, package_versions
from cars_bench.workspace import atomic_path, sha256_file, write_json

MODEL_FILE, WEIGHTS_FILE = "model.keras", "model.weights.h5"
FROZEN, FINETUNED = "frozen", "finetuned"
CHECKED_IMAGES = 16

Logits = npt.NDArray[np.float32]
Scored = dict[str, dict[Split, Logits]]


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        handoff: The proof before anything was unfrozen.
        frozen_check: The proof that only what was unfrozen moved; `None` when nothing was.
        whole_check: The proof that the finished model answers as its part that was trained
            on cached activations; `None` when it was trained whole.
        position: The training's end.
        boundary_key: Cache of activations that it was trained on, if any.
        logits: Of `frozen` and `finetuned`, by split.
        seconds: Wall time of the last session of the run.
    """

    handoff: Handoff
    frozen_check: FrozenCheck | None
    whole_check: WholeCheck | None
    position: TrainingState
    boundary_key: str | None
    logits: Scored
    seconds: float


def run_document(job: Job, outcome: Outcome) -> dict[str, Any]:
    """The run's record, `run.json`, but for the files' digests and the SavedModel's check."""
    plan, position = job.plan, outcome.position
    check, whole = outcome.frozen_check, outcome.whole_check
    return {
        "schema_version": SCHEMA_VERSION,
        "run": plan.run,
        "study": plan.study,
        "trial_id": plan.trial_id,
        "created": now(),
        **_what_was_used(job),
        "boundary_cache_key": outcome.boundary_key,
        "training": to_json(plan.recipe.training),
        "recipe": to_json(plan.recipe),
        "asked": list(plan.asked),
        "warm_up": plan.warm_up,
        "refit": plan.refit,
        "seed": plan.seed,
        "steering": [to_json(item) for item in plan.steering],
        "epochs": len(position.history),
        "best_epoch": position.best_epoch,
        "seconds": round(outcome.seconds, 1),
        "training_seconds": round(sum(row.seconds for row in position.history), 1),
        "handoff": outcome.handoff.to_json(),
        "frozen_check": asdict(check) if check else None,
        "whole_check": asdict(whole) if whole else None,
        **scores(job, outcome.logits),
        "backend": keras.backend.backend(),
        "versions": package_versions(),
    }


def scores(job: Job, logits: Scored) -> dict[str, dict[Split, dict[str, Any]]]:
    """Accuracies with intervals, by stage and split."""
    return {
        stage: {split: to_json(score(said, job.labels(split))) for split, said in by.items()}
        for stage, by in logits.items()
    }


def write_run(folder: Path, job: Job, outcome: Outcome) -> None:
    """Write the finished model and all that goes with it; `run.json` is the done mark."""
    with atomic_path(folder / MODEL_FILE) as temporary:
        job.assembled.finished().save(temporary)
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        job.assembled.whole().save_weights(temporary)
    write_history(folder / HISTORY_FILE, outcome.position.history)
    write_tables(folder, job, outcome.logits)
    digests = {name: sha256_file(folder / name) for name in (MODEL_FILE, WEIGHTS_FILE)}
    seal(folder, job, run_document(job, outcome) | {"sha256": digests})


def seal(folder: Path, job: Job, document: dict[str, Any]) -> None:
    """Write the card, for a model measured on test the SavedModel and heatmaps, `run.json` last.

    How the SavedModel did is written into `document` on the way.
    """
    document["saved_model_check"] = None
    if "test" in document[FINETUNED]:
        document["saved_model_check"] = _exported(folder, job)
        write_looks(folder, job.assembled, job.dataset)
    write_card(folder, document)
    write_json(folder / RUN_FILE, document)


def _exported(folder: Path, job: Job) -> dict[str, Any] | None:
    """Write the SavedModel and compare it with the model on a few validation images."""
    finished, names = job.assembled.finished(), job.head.class_names
    size = job.assembled.backbone.image_size
    saved = export_saved_model(folder, finished, names, size)
    if saved is None:
        return None
    records = job.dataset.records("val")
    spread = np.linspace(0, len(records) - 1, min(CHECKED_IMAGES, len(records))).round()
    files = [prepared_bytes(records[int(place)]) for place in spread]
    return check_saved_model(saved, finished, names, size, files)


def _dataset(job: Job) -> dict[str, Any]:
    dataset = job.dataset
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "crop": dataset.crop,
        "split": to_json(dataset.card.split),
    }


def write_tables(folder: Path, job: Job, logits: Scored) -> None:
    """Write `predictions-SPLIT.csv` of the model and `predictions-SPLIT-frozen.csv` of the head."""
    for stage, by in logits.items():
        for split, values in by.items():
            suffix = "-frozen" if stage == FROZEN else ""
            ids = [record.image_id for record in job.dataset.records(split)]
            rows = predictions(ids, values, job.head.class_names, job.labels(split))
            write_predictions(folder / f"predictions-{split}{suffix}.csv", rows)


def _what_was_used(job: Job) -> dict[str, Any]:
    recipe, variables = job.cache.recipe, job.assembled.whole().trainable_variables
    return {
        "dataset": _dataset(job),
        "class_names": job.head.class_names,
        "cache_key": job.cache.key,
        "features": {
            "dtype": recipe.dtype,
            "runtime": recipe.runtime,
            "precision": recipe.precision,
        },
        "backbone": {
            "name": recipe.backbone,
            "image_size": recipe.image_size,
            "pooling": recipe.pooling,
            "weights_digest": recipe.weights_digest,
        },
        "head": to_json(job.head.spec),
        "width": job.head.width,
        "unfreeze": {
            "text": job.unfreeze.text,
            "boundary": job.unfreeze.boundary,
            "layers": list(job.unfreeze.layers),
            "trainable_parameters": int(sum(np.prod(item.shape) for item in variables)),
        },
    }
