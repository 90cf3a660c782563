"""`finetune`: prove the hand-off, unfreeze, train, and write the finished model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from cars_bench.data.dataset import Split
from cars_bench.errors import CarsBenchError, Interrupted, ModelMissing, TrialFailed, UsageError
from cars_bench.finetune.artifacts import (
    Outcome,
    SplitAnswers,
    Trained,
    boxes_of,
    scores,
    seal,
    with_splits,
    write_run,
    write_tables,
)
from cars_bench.finetune.cost import cut_to_budget, measure_pace
from cars_bench.finetune.disk import require_disk
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.handoff import measure_whole, require_whole
from cars_bench.finetune.memory import require_memory
from cars_bench.finetune.plan import RunPlan, last_plan, planned, read_plan
from cars_bench.finetune.precision import require_precision
from cars_bench.finetune.prepared_run import PreparedRun, prepare_run, prove, sketch_run
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.runs import FINETUNE, FINETUNED, FROZEN, Run, is_finished
from cars_bench.finetune.training_data import TrainingData, gather_training_data
from cars_bench.finetune.unfreeze import apply_unfreeze, check_frozen, seed_dropout, values_of
from cars_bench.interrupts import stop_when_asked
from cars_bench.progress import Progress, Task
from cars_bench.training.checkpoint import (
    CHECKPOINT_FILE,
    EpochResult,
    TrainingState,
    finished_epochs,
    read_checkpoint,
    write_checkpoint,
)
from cars_bench.training.engine import answers_of
from cars_bench.training.loop import TrainingControl, train
from cars_bench.workspace import Workspace, locked

SPLITS: tuple[Split, ...] = ("val", "test")
RESUME = "cars-bench finetune --resume"
STOPPING = "Stopping after this epoch; press Ctrl-C again to stop now."


def finetune(workspace: Workspace, options: FinetuneOptions, progress: Progress) -> Run:
    """Finish a head into a fine-tuned model; asked again, it goes on with what was stopped.

    Raises:
        HandoffFailed: The head does not behave as it did on the cache.
        Interrupted: Ctrl-C; the run can be resumed.
        CarsBenchError: The training diverged, or a frozen layer moved.
    """
    return perform(workspace, planned(workspace, options), progress)


def resume(workspace: Workspace, options: FinetuneOptions, progress: Progress) -> Run:
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
        raise ModelMissing("There is no run to resume.", FINETUNE)
    if changed := plan.unlike(options):
        raise UsageError(
            f"The run {plan.run!r} was begun without {' and '.join(changed)}.",
            "leave it out; --lr, --schedule and --epochs steer a run that goes on",
        )
    done = finished_epochs(plan.folder(workspace) / CHECKPOINT_FILE)
    steered = plan.steered(done, options)
    if steered != plan and is_finished(plan.folder(workspace)):
        raise UsageError(f"The run {plan.run!r} is finished.", f"{FINETUNE} begins another")
    if steered != plan and done >= steered.recipe.training.epochs:
        raise UsageError(
            f"All {done} epochs of {plan.run!r} are done, so there is nothing to steer.",
            f"{RESUME}, or more --epochs",
        )
    return perform(workspace, steered, progress)


def perform(workspace: Workspace, plan: RunPlan, progress: Progress) -> Run:
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
        if is_finished(folder):
            progress.log(
                f"The run {plan.run} is finished already; "
                f"another --seed, or deleting {folder}, trains anew"
            )
        else:
            plan.write(workspace)
            with _forgotten_unless_begun(workspace, plan):
                require_precision(plan.recipe)
                _perform(workspace, _within_budget(workspace, plan, progress), progress)
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    if not plan.purpose:
        workspace.remember("model", study=plan.study, run=plan.run)
    return Run.open(folder)


def _within_budget(workspace: Workspace, plan: RunPlan, progress: Progress) -> RunPlan:
    """The plan cut to its budget, if it has one, and stored: a run that goes on keeps the cut."""
    if plan.budget is None or plan.budget.asked is not None:
        return plan
    progress.log("Timing one batch of everything")
    sketch = sketch_run(workspace, plan)
    plan = cut_to_budget(sketch, measure_pace(sketch, progress), progress)
    plan.write(workspace)
    return plan


def measure_test(workspace: Workspace, run: Run, progress: Progress) -> Run:
    """Read the test split for a finished run that was measured on validation only.

    Where `evaluate` read it already, what only a tested run has is still made.

    Raises:
        LockHeld: Another process trains it, or measures it.
    """
    with locked(run.folder / ".lock", f"Run {run.name}"):
        run = Run.open(run.folder)  # as it is now: `evaluate` may have added to it
        exported = run.record.saved_model_check or keras.backend.backend() != "tensorflow"
        if run.score(FINETUNED, "test") and exported:
            return run
        progress.log(f"Evaluating {run.name} on test")
        return _measure_test(workspace, run, progress)


def _measure_test(workspace: Workspace, run: Run, progress: Progress) -> Run:
    prepared = prepare_run(workspace, read_plan(run.folder))
    frozen = _frozen_answers(prepared, ("test",))
    whole = prepared.assembled.whole()
    whole.load_weights(FinishedModel(run).weights)
    finetuned: SplitAnswers = {"test": answers_of(whole, prepared.images("test"))}
    tables = write_tables(prepared, FROZEN, frozen) | write_tables(prepared, FINETUNED, finetuned)
    record = replace(
        run.record,
        frozen=run.record.frozen | scores(prepared, frozen),
        finetuned=run.record.finetuned | scores(prepared, finetuned),
        boxes=run.record.boxes.joined(boxes_of(prepared, frozen, finetuned)),
        temperature=run.record.temperature
        and with_splits(run.record.temperature, prepared, finetuned),
        tables=run.record.tables | tables,
    )
    return seal(prepared, record, progress)


@contextlib.contextmanager
def _forgotten_unless_begun(workspace: Workspace, plan: RunPlan) -> Iterator[None]:
    """Forget the plan of a run that fails before its first epoch; say how to resume another."""
    try:
        yield
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
    progress.log(f"Opening the backbone and the head of {plan.trial_id}")
    prepared = prepare_run(workspace, plan)
    require_disk(prepared)
    require_memory(prepared)
    progress.log(f"Proving the hand-off of {prepared.head.trial_id} on the validation images")
    handoff = prove(prepared, progress)
    prepared = prepared if plan.warm_up else prepared.with_fresh_head()
    trained = _trained(prepared, progress)
    splits = _measured(plan)
    progress.log(f"Evaluating on {' and '.join(splits)}")
    outcome = Outcome(
        handoff=handoff,
        trained=trained,
        frozen=_frozen_answers(prepared, splits),
        finetuned=_finetuned_answers(prepared, trained, splits),
        seconds=time.monotonic() - begun,
    )
    write_run(prepared, outcome, progress)


def _measured(plan: RunPlan) -> list[Split]:
    """The splits that a run is measured on: after a refit the validation images are trained on."""
    asked = [split for split in SPLITS if split in plan.splits]
    return [split for split in asked if split != "val" or not plan.refit]


def _frozen_answers(prepared: PreparedRun, splits: Sequence[Split]) -> SplitAnswers:
    """What the head as it was tuned says of the cached features."""
    head = prepared.head.model()
    return {split: answers_of(head, prepared.cache.load(split).x) for split in splits}


def _finetuned_answers(
    prepared: PreparedRun, trained: Trained, splits: Sequence[Split]
) -> SplitAnswers:
    """What the finished model says of the images; of no image is it asked twice."""
    known: SplitAnswers = {} if trained.val is None else {"val": trained.val}
    whole = prepared.assembled.whole()
    return {
        split: known[split] if split in known else answers_of(whole, prepared.images(split))
        for split in splits
    }


def _trained(prepared: PreparedRun, progress: Progress) -> Trained:
    """Train what is unfrozen, see that it moved and nothing else did, and prove the whole."""
    backbone = prepared.assembled.backbone
    apply_unfreeze(backbone, prepared.unfreeze)
    if not prepared.unfreeze.layers:
        return Trained(state=TrainingState.untrained())
    seed_dropout(backbone, prepared.plan.seed)
    data = gather_training_data(prepared, progress)
    before = values_of(backbone.model)
    state = _train(prepared, data, before, progress)
    trained = Trained(state=state, frozen_check=check_frozen(before, backbone.model))
    if data.boundary_key is None:
        return trained
    progress.log("Proving the whole model on the validation images")
    whole = answers_of(prepared.assembled.whole(), prepared.images("val"))
    part = answers_of(data.model, data.validation.x)
    check = measure_whole(part, whole, data.validation.labels)
    if warning := require_whole(check):
        progress.log(f"warning: {warning}")
    return replace(
        trained,
        whole_check=check,
        boundary_key=data.boundary_key,
        val=whole,
    )


def _train(
    prepared: PreparedRun, data: TrainingData, before: dict[str, bytes], progress: Progress
) -> TrainingState:
    checkpoint = prepared.folder / CHECKPOINT_FILE
    start = read_checkpoint(checkpoint, _identity(data.model))
    if start:
        progress.log(f"Resuming {prepared.plan.run} after epoch {len(start.history)}")
    with (
        progress.stage("Fine-tuning", prepared.recipe.training.epochs, "epochs") as task,
        stop_when_asked(progress, STOPPING) as stop,
    ):
        task.weigh(prepared.epoch_weights)
        task.advance(len(start.history) if start else 0, earlier=True)
        task.doing("compiling; the first epoch takes longest")
        keeper = _EpochKeeper(
            prepared=prepared,
            model=data.model,
            before=before,
            checkpoint=checkpoint,
            task=task,
            stop=stop,
        )
        try:
            return train(
                data.model,
                prepared.recipe.training,
                data.training,
                None if prepared.plan.refit else data.validation,
                prepared.plan.seed,
                TrainingControl(keeper, start),
                data.early,
            )
        except TrialFailed as failure:
            again = RESUME if finished_epochs(checkpoint) else FINETUNE
            raise CarsBenchError(
                f"Fine-tuning diverged: {failure}.", f"{again} --lr with a lower rate"
            ) from failure


@dataclass(frozen=True, kw_only=True)
class _EpochKeeper:
    """Saves and tells each epoch, and ends the training after it when Ctrl-C was pressed.

    A training that moves what is frozen, or not what is unfrozen, ends after its first epoch.

    Attributes:
        prepared: The run.
        model: What is trained.
        before: Bytes of the backbone's variables before the training.
        checkpoint: The file that holds where it stands.
        task: Told of each epoch.
        stop: Whether Ctrl-C was pressed.
    """

    prepared: PreparedRun
    model: keras.Model
    before: dict[str, bytes]
    checkpoint: Path
    task: Task
    stop: Callable[[], bool]

    def __call__(self, row: EpochResult, capture: Callable[[], TrainingState]) -> None:
        if row.epoch == 1:
            check_frozen(self.before, self.prepared.assembled.backbone.model)
        write_checkpoint(self.checkpoint, capture(), _identity(self.model))
        found = "" if row.val_top1 is None else f"  val top-1 {row.val_top1:.1%}"
        self.task.advance(note=found.strip())
        self.task.line(f"epoch {row.epoch}  loss {row.train_loss:.4f}{found}  {row.seconds:.1f} s")
        epochs = self.prepared.recipe.training.epochs
        if self.stop() and row.epoch < epochs:
            raise Interrupted(f"Stopped after epoch {row.epoch} of {epochs}; it is saved.", RESUME)


def _identity(model: keras.Model) -> dict[str, Any]:
    """What a checkpoint of this model belongs to: its variables, in order."""
    return {"weights": [[variable.path, *variable.shape] for variable in model.weights]}
