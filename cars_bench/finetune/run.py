"""`finetune`: prove the hand-off, unfreeze, train, and write the finished model."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench import SCHEMA_VERSION
from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Split
from cars_bench.data.policies import policy
from cars_bench.errors import CarsBenchError, TrialFailed
from cars_bench.evaluation.metrics import score
from cars_bench.evaluation.predictions import predictions, write_predictions
from cars_bench.finetune.handoff import Handoff, check_frozen, frozen_values
from cars_bench.finetune.job import FinetuneOptions, Job, prepare_job, prove
from cars_bench.finetune.live import LiveImages
from cars_bench.finetune.unfreeze import apply_unfreeze
from cars_bench.progress import Progress
from cars_bench.training.engine import Examples, logits_of
from cars_bench.training.heads import build_head
from cars_bench.training.loop import Epoch, Position, train
from cars_bench.training.specs import to_json
from cars_bench.tuning.study import now, package_versions
from cars_bench.workspace import (
    Workspace,
    atomic_file,
    atomic_path,
    locked,
    sha256_file,
    write_json,
)

RUN_FILE, MODEL_FILE, WEIGHTS_FILE = "run.json", "model.keras", "model.weights.h5"
HISTORY_FILE = "history.csv"
FROZEN, FINETUNED = "frozen", "finetuned"
SPLITS: tuple[Split, ...] = ("val", "test")

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FinetuneResult:
    """A finished run.

    Attributes:
        folder: `tuning/STUDY/final/RUN`.
        document: Its `run.json`.
    """

    folder: Path
    document: dict[str, Any]


def finetune(workspace: Workspace, options: FinetuneOptions, progress: Progress) -> FinetuneResult:
    """Finish a head into a fine-tuned model.

    The test split is read once, when nothing is left to choose.

    Raises:
        HandoffFailed: The head does not behave as it did on the cache.
        CarsBenchError: The training diverged, or a frozen layer moved.
    """
    begun = time.monotonic()
    job = prepare_job(workspace, options)
    folder = job.study.folder / "final" / (options.run or _run_name(job))
    with locked(folder / ".lock", f"Run {folder.name}"):
        progress.log(f"Proving the hand-off of {job.head.trial_id} on the validation images")
        handoff = prove(job)
        frozen_logits = job.head.logits
        if not options.warm_up:
            job = _with_fresh_head(job, options.seed)
        position = _train(workspace, job, options.seed, progress)
        progress.log("Evaluating; the test split is read now, once")
        logits: dict[str, dict[Split, Logits]] = {
            FROZEN: {"val": frozen_logits, "test": _frozen_test(job)}
        }
        whole = job.assembled.whole()
        logits[FINETUNED] = {split: logits_of(whole, job.images(split)) for split in SPLITS}
        seconds = time.monotonic() - begun
        document = _document(folder.name, job, options, handoff, position, logits, seconds)
        _write(folder, job, position, logits, document)
    workspace.remember("model", study=job.study.name, run=folder.name)
    return FinetuneResult(folder, document)


def _run_name(job: Job) -> str:
    """Trial and what is unfrozen; numbered when there is such a run already."""
    stem = f"{job.head.trial_id}-{job.unfreeze.text.replace(':', '-')}"
    final = job.study.folder / "final"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next(name for name in names if not (final / name / RUN_FILE).is_file())


def _with_fresh_head(job: Job, seed: int) -> Job:
    fresh = build_head(job.head.spec, job.head.width, len(job.head.class_names), seed)
    return replace(job, assembled=replace(job.assembled, head=fresh))


def _train(workspace: Workspace, job: Job, seed: int, progress: Progress) -> Position:
    """Train what is unfrozen, and see that nothing else moved."""
    apply_unfreeze(job.assembled.backbone, job.unfreeze)
    if not job.unfreeze.layers:
        return Position([], 0, [], [])
    model, examples, validation = _material(workspace, job, seed, progress)
    before = frozen_values(job.assembled.backbone.model)
    training = job.recipe.training
    with progress.stage("Fine-tuning", training.epochs, "epochs") as task:

        def tell(row: Epoch, _: Callable[[], Position]) -> None:
            task.advance(note=f"val top-1 {row.val_top1:.4f}")
            task.line(
                f"epoch {row.epoch}  loss {row.train_loss:.4f}  val top-1 {row.val_top1:.4f}  "
                f"{row.seconds:.1f} s"
            )

        try:
            position = train(model, training, examples, validation, seed, tell)
        except TrialFailed as failure:
            raise CarsBenchError(
                f"Fine-tuning diverged: {failure}.", "cars-bench finetune --lr with a lower rate"
            ) from failure
    moved = check_frozen(before, job.assembled.backbone.model)
    if moved:
        raise CarsBenchError(f"Frozen variables moved: {', '.join(moved[:3])}.", "report this")
    return position


def _material(
    workspace: Workspace, job: Job, seed: int, progress: Progress
) -> tuple[keras.Model, Examples, Examples]:
    """The model to train with its training and validation examples.

    Where all below a block is frozen these are cached activations of that
    block, else the images themselves.
    """
    boundary = None if job.recipe.live else job.unfreeze.boundary
    if boundary is None:
        chosen, records = policy(job.recipe.augment), job.dataset.records("train")
        size = job.assembled.backbone.image_size
        images = LiveImages(records, size, chosen, seed, job.recipe.views)
        training = Examples(images, job.labels("train"))
        return job.assembled.whole(), training, Examples(job.images("val"), job.labels("val"))
    options = _boundary_options(job, boundary)
    cache = FeatureCache.open(workspace, extract(workspace, options, progress).key)
    train_set, val_set = cache.load("train", job.recipe.views), cache.load("val")
    return (
        job.assembled.above(boundary),
        Examples(train_set.x, train_set.labels),
        Examples(val_set.x, val_set.labels),
    )


def _boundary_options(job: Job, boundary: str) -> ExtractOptions:
    recipe = job.cache.recipe
    return ExtractOptions(
        dataset=job.dataset.name,
        backbone=recipe.backbone,
        weights=str(job.cache.manifest.extraction["weights"]),
        image_size=recipe.image_size,
        boundary=boundary,
        views=job.recipe.views,
        augment=job.recipe.augment,
    )


def _frozen_test(job: Job) -> Logits:
    """The winner's logits on the cached test features."""
    return logits_of(job.head.model(), job.cache.load("test").x)


def _document(
    run: str,
    job: Job,
    options: FinetuneOptions,
    handoff: Handoff,
    position: Position,
    logits: dict[str, dict[Split, Logits]],
    seconds: float,
) -> dict[str, Any]:
    model, recipe = job.assembled.whole(), job.cache.recipe
    scores = {
        stage: {split: score(by[split], job.labels(split)).to_json() for split in SPLITS}
        for stage, by in logits.items()
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "study": job.study.name,
        "trial_id": job.head.trial_id,
        "created": now(),
        "dataset": {"name": job.dataset.name, "digest": job.dataset.digest},
        "class_names": job.head.class_names,
        "cache_key": job.cache.key,
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
            "trainable_parameters": int(
                sum(np.prod(variable.shape) for variable in model.trainable_variables)
            ),
        },
        "training": to_json(job.recipe.training),
        "recipe": to_json(job.recipe),
        "warm_up": options.warm_up,
        "seed": options.seed,
        "epochs": len(position.history),
        "best_epoch": position.best_epoch,
        "seconds": round(seconds, 1),
        "handoff": handoff.to_json(),
        **scores,
        "backend": keras.backend.backend(),
        "versions": package_versions(),
    }


def _write(
    folder: Path,
    job: Job,
    position: Position,
    logits: dict[str, dict[Split, Logits]],
    document: dict[str, Any],
) -> None:
    """Write the finished model; `run.json` comes last, as the done mark."""
    with atomic_path(folder / MODEL_FILE) as temporary:
        job.assembled.finished().save(temporary)
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        job.assembled.whole().save_weights(temporary)
    _write_history(folder / HISTORY_FILE, position.history)
    for stage, by in logits.items():
        for split, values in by.items():
            suffix = "-frozen" if stage == FROZEN else ""
            ids = [record.image_id for record in job.dataset.records(split)]
            rows = predictions(ids, values, job.head.class_names, job.labels(split))
            write_predictions(folder / f"predictions-{split}{suffix}.csv", rows)
    digests = {name: sha256_file(folder / name) for name in (MODEL_FILE, WEIGHTS_FILE)}
    write_json(folder / RUN_FILE, document | {"sha256": digests})


def _write_history(path: Path, history: list[Epoch]) -> None:
    columns = ["epoch", "train_loss", "val_loss", "val_top1", "learning_rate", "seconds"]
    with atomic_file(path, "w") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(asdict(row) for row in history)
