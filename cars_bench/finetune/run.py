"""`finetune`: prove the hand-off, unfreeze, train, and write the finished model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from cars_bench.data.dataset import Split
from cars_bench.errors import CarsBenchError, Interrupted, ModelMissing, TrialFailed, UsageError
from cars_bench.finetune.handoff import (
    FrozenCheck,
    WholeCheck,
    check_frozen,
    check_whole,
    values_of,
)
from cars_bench.finetune.plan import (
    RUN_FILE,
    FinetuneOptions,
    RunPlan,
    is_finished,
    last_plan,
    planned,
    read_plan,
)
from cars_bench.finetune.prepared_run import Job, prepare_job, prove, with_fresh_head
from cars_bench.finetune.record import (
    FINETUNED,
    FROZEN,
    WEIGHTS_FILE,
    Logits,
    Outcome,
    Scored,
    scores,
    seal,
    write_run,
    write_tables,
)
from cars_bench.finetune.training_data import TrainingData, gather_training_data
from cars_bench.finetune.unfreeze import apply_unfreeze, seed_dropout
from cars_bench.progress import Progress, Task, stop_when_asked
from cars_bench.training.checkpoint import (
    CHECKPOINT_FILE,
    EpochResult,
    TrainingState,
    finished_epochs,
    read_checkpoint,
    write_checkpoint,
)
from cars_bench.training.engine import logits_of
from cars_bench.training.loop import OnEpoch, TrainingControl, train
from cars_bench.workspace import Workspace, locked, sha256_file

SPLITS: tuple[Split, ...] = ("val", "test")
RESUME = "cars-bench finetune --resume"


@dataclass(frozen=True)
class _Trained:
    """What the training of a run came to; its checks are `None` where there is nothing to check.

    Attributes:
        position: The training's end.
        check: Only what was unfrozen moved.
        proof: The whole model answers as its trained part does.
        key: Cache of activations that it was trained on, if any.
        val: The proof's logits of the whole model on the validation images.
    """

    position: TrainingState
    check: FrozenCheck | None = None
    proof: WholeCheck | None = None
    key: str | None = None
    val: Logits | None = None


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
    """Finish a head into a fine-tuned model; asked again, it goes on with what was stopped.

    Raises:
        HandoffFailed: The head does not behave as it did on the cache.
        Interrupted: Ctrl-C; the run can be resumed.
        CarsBenchError: The training diverged, or a frozen layer moved.
    """
    return perform(workspace, planned(workspace, options), progress)


def resume(workspace: Workspace, options: FinetuneOptions, progress: Progress) -> FinetuneResult:
    """Go on with the run that was begun last, from its last finished epoch.

    A finished run is given back as it is.

    Args:
        workspace: Holds the run.
        options: A rate, a schedule or a number of epochs to steer it by; all
            else is the run's own.
        progress: Told what goes on.

    Raises:
        ModelMissing: No run was begun.
        UsageError: It is finished, so it cannot be steered, or an option was
            given that cannot change any more.
    """
    plan = last_plan(workspace)
    if plan is None:
        raise ModelMissing("There is no run to resume.", "cars-bench finetune --best")
    if changed := plan.unlike(options):
        raise UsageError(
            f"The run {plan.run!r} was begun without {' and '.join(changed)}.",
            "leave it out; --lr, --schedule and --epochs steer a run that goes on",
        )
    done = finished_epochs(plan.folder(workspace) / CHECKPOINT_FILE)
    steered = plan.steered(done, options)
    if steered != plan and is_finished(workspace, plan):
        raise UsageError(
            f"The run {plan.run!r} is finished.", "cars-bench finetune --best begins another"
        )
    if steered != plan and done >= steered.recipe.training.epochs:
        raise UsageError(
            f"All {done} epochs of {plan.run!r} are done, so there is nothing to steer.",
            f"{RESUME}, or more --epochs",
        )
    return perform(workspace, steered, progress)


def perform(workspace: Workspace, plan: RunPlan, progress: Progress) -> FinetuneResult:
    """Begin or go on with a planned run.

    The test split, if the plan measures it, is read once, when nothing is left to choose.

    Args:
        workspace: Holds dataset, cache and study.
        plan: What to do; going on from its checkpoint, if there is one.
        progress: Told what goes on.

    Raises:
        As `finetune`.
    """
    folder = plan.folder(workspace)
    with locked(folder / ".lock", f"Run {plan.run}"):
        if is_finished(workspace, plan):
            progress.log(
                f"The run {plan.run} is finished already; "
                f"another --seed, or deleting {folder}, trains anew"
            )
        else:
            plan.write(workspace)
            _performed_or_kept(workspace, plan, progress)
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    workspace.remember("model", study=plan.study, run=plan.run)
    return FinetuneResult(folder, json.loads((folder / RUN_FILE).read_text(encoding="utf-8")))


def measure_test(
    workspace: Workspace, result: FinetuneResult, progress: Progress
) -> FinetuneResult:
    """Read the test split for a finished run that was measured on validation only."""
    document = result.document
    if "test" in document[FINETUNED]:
        return result
    progress.log(f"Evaluating {document['run']} on test")
    job = prepare_job(workspace, read_plan(result.folder))
    weights = result.folder / WEIGHTS_FILE
    if sha256_file(weights) != document["sha256"][WEIGHTS_FILE]:
        raise CarsBenchError(f"{weights} is damaged.", "delete its folder and run again")
    frozen = logits_of(job.assembled.head, job.cache.load("test").x)
    whole = job.assembled.whole()
    whole.load_weights(weights)
    logits: Scored = {FROZEN: {"test": frozen}}
    logits[FINETUNED] = {"test": logits_of(whole, job.images("test"))}
    write_tables(result.folder, job, logits)
    for stage, found in scores(job, logits).items():
        document[stage] |= found
    seal(result.folder, job, document)
    return FinetuneResult(result.folder, document)


def _performed_or_kept(workspace: Workspace, plan: RunPlan, progress: Progress) -> None:
    """Perform the run; when that fails before its first epoch, it is forgotten."""
    try:
        _perform(workspace, plan, progress)
    except KeyboardInterrupt:
        raise Interrupted("Stopped; finished epochs are kept.", RESUME) from None
    except Interrupted:
        raise
    except CarsBenchError:
        if not (plan.folder(workspace) / CHECKPOINT_FILE).exists():
            plan.discard(workspace)
        raise


def _perform(workspace: Workspace, plan: RunPlan, progress: Progress) -> None:
    begun = time.monotonic()
    if keras.backend.backend() != "tensorflow":
        progress.log("Without KERAS_BACKEND=tensorflow there are no SavedModel and no heatmaps")
    job = prepare_job(workspace, plan)
    progress.log(f"Proving the hand-off of {job.head.trial_id} on the validation images")
    handoff = prove(job)
    job = job if plan.warm_up else with_fresh_head(job)
    trained = _trained(workspace, job, progress)
    logits = _logits(job, trained.val, progress)
    seconds = time.monotonic() - begun
    outcome = Outcome(
        handoff, trained.check, trained.proof, trained.position, trained.key, logits, seconds
    )
    write_run(plan.folder(workspace), job, outcome)


def _logits(job: Job, val: Logits | None, progress: Progress) -> Scored:
    """Logits of the frozen head (on cached features) and of the whole model (on images).

    Those of the whole model on the validation images are `val`, where they are known.
    After a refit the validation images are training images; their scores are left out.
    """
    whole, head = job.assembled.whole(), job.head.model()
    asked = [split for split in SPLITS if split in job.plan.splits]
    measured = [split for split in asked if split != "val" or not job.plan.refit]
    progress.log(f"Evaluating on {' and '.join(measured)}")
    return {
        FROZEN: {split: logits_of(head, job.cache.load(split).x) for split in measured},
        FINETUNED: {
            split: val
            if split == "val" and val is not None
            else logits_of(whole, job.images(split))
            for split in measured
        },
    }


def _trained(workspace: Workspace, job: Job, progress: Progress) -> _Trained:
    """Train what is unfrozen, see that it moved and nothing else did, and prove the whole."""
    backbone = job.assembled.backbone
    apply_unfreeze(backbone, job.unfreeze)
    if not job.unfreeze.layers:
        return _Trained(TrainingState.untrained())
    seed_dropout(backbone, job.plan.seed)
    material = gather_training_data(workspace, job, progress)
    before = values_of(backbone.model)
    checkpoint = job.plan.folder(workspace) / CHECKPOINT_FILE
    start = read_checkpoint(checkpoint, _identity(material.model))
    if start:
        progress.log(f"Resuming {job.plan.run} after epoch {len(start.history)}")
    position = _train(workspace, job, material, before, start, progress)
    check = check_frozen(before, backbone.model)
    if material.boundary_key is None:
        return _Trained(position, check)
    progress.log("Proving the whole model on the validation images")
    whole = logits_of(job.assembled.whole(), job.images("val"))
    part = logits_of(material.model, material.validation.x)
    proof = check_whole(part, whole, material.validation.labels)
    return _Trained(position, check, proof, material.boundary_key, whole)


def _train(
    workspace: Workspace,
    job: Job,
    material: TrainingData,
    before: dict[str, bytes],
    start: TrainingState | None,
    progress: Progress,
) -> TrainingState:
    training, folder = job.recipe.training, job.plan.folder(workspace)
    validation = None if job.plan.refit else material.validation
    stopping = "Stopping after this epoch; press Ctrl-C again to stop now."
    with (
        progress.stage("Fine-tuning", training.epochs, "epochs") as task,
        stop_when_asked(progress, stopping) as stop,
    ):
        task.advance(len(start.history) if start else 0, earlier=True)
        on_epoch = _keeper(folder, job, material.model, before, task, stop)
        try:
            return train(
                material.model,
                training,
                material.training,
                validation,
                job.plan.seed,
                TrainingControl(on_epoch, start),
            )
        except TrialFailed as failure:
            begun = finished_epochs(folder / CHECKPOINT_FILE)
            again = RESUME if begun else "cars-bench finetune --best"
            raise CarsBenchError(
                f"Fine-tuning diverged: {failure}.", f"{again} --lr with a lower rate"
            ) from failure


def _keeper(
    folder: Path,
    job: Job,
    model: keras.Model,
    before: dict[str, bytes],
    task: Task,
    stop: Callable[[], bool],
) -> OnEpoch:
    """Saves and tells each epoch, and ends the training after it when Ctrl-C was pressed.

    A training that moves what is frozen, or not what is unfrozen, ends after its first epoch.
    """
    epochs = job.recipe.training.epochs

    def keep(row: EpochResult, capture: Callable[[], TrainingState]) -> None:
        if row.epoch == 1:
            check_frozen(before, job.assembled.backbone.model)
        write_checkpoint(folder / CHECKPOINT_FILE, capture(), _identity(model))
        found = "" if row.val_top1 is None else f"  val top-1 {row.val_top1:.4f}"
        task.advance(note=found.strip())
        task.line(f"epoch {row.epoch}  loss {row.train_loss:.4f}{found}  {row.seconds:.1f} s")
        if stop() and row.epoch < epochs:
            raise Interrupted(f"Stopped after epoch {row.epoch} of {epochs}; it is saved.", RESUME)

    return keep


def _identity(model: keras.Model) -> dict[str, Any]:
    """What a checkpoint of this model belongs to: its variables, in order."""
    return {"weights": [[variable.path, *variable.shape] for variable in model.weights]}
