"""The one training loop: heads on cached features and unfrozen networks alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from cars_bench.errors import TrialFailed, UsageError
from cars_bench.evaluation.boxes import ious
from cars_bench.training.answers import HEAD, Answers, class_count, has_box
from cars_bench.training.batches import draw_epoch
from cars_bench.training.checkpoint import EpochResult, TrainingState
from cars_bench.training.engine import Engine, Examples, build_engine
from cars_bench.training.losses import build_loss, build_optimizer
from cars_bench.training.schedules import rates
from cars_bench.training.specs import TrainingSpec, refuse_mixed_boxes

MIXED = "mixed_bfloat16"
MAPS = 5  # axes of images or cached maps: image, view, height, width, channel


OnEpoch = Callable[[EpochResult, Callable[[], TrainingState]], None]


@dataclass(frozen=True)
class TrainingControl:
    """How one sitting of a training begins, what is told of it, and when it ends.

    Attributes:
        on_epoch: Called after each epoch with a function that captures the
            state, for checkpoints.
        start: Go on from here.
        stop_after: End after so many epochs of the `spec.epochs` that the
            schedule is laid out for.
    """

    on_epoch: OnEpoch | None = None
    start: TrainingState | None = None
    stop_after: int | None = None


@dataclass(frozen=True)
class EarlyExamples:
    """Examples of the first epochs: smaller images, which cost less (Tan & Le 2021).

    Attributes:
        model: For their shape, on the layers of the model that is trained.
        examples: Of the same images in the same order.
        epochs: How many epochs are trained on them.
    """

    model: keras.Model
    examples: Examples
    epochs: int


def compile_model(model: keras.Model, spec: TrainingSpec) -> None:
    """Give the model the optimizer and the loss of `spec`.

    XLA is left to the engine: compiled by itself, TensorFlow's XLA trains
    convolutions several times slower on a CPU.
    """
    loss = build_loss(spec, class_count(model) if has_box(model) else None)
    model.compile(optimizer=build_optimizer(spec, model), loss=loss, jit_compile=False)


def train(
    model: keras.Model,
    spec: TrainingSpec,
    train_set: Examples,
    val_set: Examples | None,
    seed: int,
    control: TrainingControl | None = None,
    early: EarlyExamples | None = None,
) -> TrainingState:
    """Train `model` in place; it ends with the weights of its best epoch.

    The best epoch is the one with the highest validation top-1, the earlier
    one among equals.  Without validation images all epochs are run and the
    last one is kept.

    Args:
        model: From activations to logits.
        spec: The training.
        train_set: Training examples; every epoch draws one view of each.
        val_set: Validation examples, plain view.
        seed: Of the order, the views and the mixing.
        control: Where to go on from, who is told, when to end.
        early: What the first epochs are trained on instead, if anything.

    Raises:
        TrialFailed: The loss is not finite.
        UsageError: Windows of pooled features were to be mixed, or images for a head with a
            box; or that head is to learn of examples without boxes.
    """
    refuse_mixed_boxes(has_box(model), spec)
    if spec.cutmix and len(train_set.x.shape) != MAPS:
        raise UsageError("cutmix needs images or cached maps.", "set cutmix to 0, or use mixup")
    control = control or TrainingControl()
    with ExitStack() as stack:
        for part in (model, early.model) if early else (model,):
            stack.enter_context(mixed_precision(part, spec.mixed_precision))
        compile_model(model, spec)
        engine = build_engine(model, train_set)
        first = _early_engine(early, model) if early else engine
        state = _begin(engine, control.start)
        while not _finished(spec, state, control.stop_after):
            trainer = first if early and len(state.history) < early.epochs else engine
            row = _run_epoch(trainer, engine, spec, state, val_set, seed)
            if control.on_epoch:
                control.on_epoch(row, lambda: _captured(engine, state))
        engine.restore(state.best)
    return state


def _early_engine(early: EarlyExamples, model: keras.Model) -> Engine:
    """Trains the same variables with the same optimizer on other examples."""
    early.model.compile(optimizer=model.optimizer, loss=model.loss, jit_compile=False)
    return build_engine(early.model, early.examples)


def _run_epoch(
    trainer: Engine,
    engine: Engine,
    spec: TrainingSpec,
    state: TrainingState,
    val_set: Examples | None,
    seed: int,
) -> EpochResult:
    """One epoch, whose examples are those of `trainer`; `engine` validates and keeps it."""
    begun = time.monotonic()
    epoch = len(state.history)
    examples = trainer.examples
    batches = draw_epoch(spec, examples.labels, examples.x.shape[1], seed, epoch)
    rate = rates(spec, epoch, batches.steps, _epochs_since_loss_improved(state.history))
    loss = trainer.run(batches, rate)
    with engine.averaged(bool(spec.averaging)):
        found = _validated(engine, val_set)
        if not all(math.isfinite(value) for value in (loss, found.loss or 0.0)):
            raise TrialFailed(f"the loss became {loss:g} in epoch {epoch + 1}")
        row = EpochResult(
            epoch=epoch + 1,
            train_loss=loss,
            val_loss=found.loss,
            val_top1=found.top1,
            val_iou=found.iou,
            learning_rate=float(rate[-1]),
            seconds=time.monotonic() - begun,
        )
        _record(engine, state, row)
    return row


def _begin(engine: Engine, start: TrainingState | None) -> TrainingState:
    if start is None:
        return TrainingState.untrained()
    engine.restore(start.current)
    return TrainingState([*start.history], start.best_epoch, start.best, start.current)


def _finished(spec: TrainingSpec, state: TrainingState, stop_after: int | None) -> bool:
    done = len(state.history)
    waited = spec.patience_epochs and done - state.best_epoch >= spec.patience_epochs
    return done >= (stop_after or spec.epochs) or (done > 0 and bool(waited))


@dataclass(frozen=True)
class _Validated:
    """What the validation images say after an epoch; `None` without them, or without boxes."""

    loss: float | None = None
    top1: float | None = None
    iou: float | None = None


def _validated(engine: Engine, val_set: Examples | None) -> _Validated:
    if val_set is None:
        return _Validated()
    said = engine.answers(val_set.x)
    found = overlaps(said, val_set)
    return _Validated(
        loss=cross_entropy(said.logits, val_set.labels),
        top1=float((said.logits.argmax(1) == val_set.labels).mean()),
        iou=float(found.mean()) if found is not None and found.size else None,
    )


def overlaps(said: Answers, val_set: Examples) -> npt.NDArray[np.float64] | None:
    """IoU `[K]` of the boxes told of the plain validation images whose box is known.

    Shares of the sides overlap as pixels do.

    Returns:
        `None` where no box was told or learnt.
    """
    if said.boxes is None or val_set.boxes is None:
        return None
    images = np.arange(len(said.boxes))
    true = np.asarray(val_set.boxes[images, np.zeros_like(images)])
    known = ~np.isnan(true).any(axis=1)
    return ious(true[known], said.boxes[known])


def cross_entropy(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Mean cross entropy in nats of logits `[N, C]` and labels `[N]`."""
    wide = logits.astype(np.float64)
    top = wide.max(1, keepdims=True)
    total = np.log(np.exp(wide - top).sum(1)) + top[:, 0]
    return float((total - wide[np.arange(len(labels)), labels]).mean())


def _record(engine: Engine, state: TrainingState, row: EpochResult) -> None:
    better = row.val_top1 is None or state.best_epoch == 0 or row.val_top1 > state.best_top1
    state.history.append(row)
    if better:
        state.best_epoch = row.epoch
        state.best = engine.capture()[: len(engine.model.variables)]


def _captured(engine: Engine, state: TrainingState) -> TrainingState:
    return TrainingState([*state.history], state.best_epoch, state.best, engine.capture())


def _epochs_since_loss_improved(history: list[EpochResult]) -> int:
    losses = [row.val_loss for row in history if row.val_loss is not None]
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


@contextmanager
def mixed_precision(model: keras.Model, wanted: bool) -> Iterator[None]:
    """Have all layers of `model` but its head compute in bfloat16 while the body runs.

    Logits, loss and variables stay float32, and afterwards every layer is as it was,
    so the finished model is a float32 one (Micikevicius et al. 2018); bfloat16 has
    float32's range, so that no loss scaling is needed.
    """
    layers = [layer for layer in model.layers if wanted and layer.name != HEAD]
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = MIXED
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
