"""The one training loop: heads on cached features and unfrozen networks alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench.errors import TrialFailed, UsageError
from cars_bench.training.batches import plan_epoch
from cars_bench.training.engine import Engine, Examples, build_engine
from cars_bench.training.losses import build_loss, build_optimizer
from cars_bench.training.precision import mixed_precision
from cars_bench.training.schedules import rates
from cars_bench.training.specs import TrainingSpec

MAPS = 5  # axes of images or cached maps: image, view, height, width, channel


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        epoch: From 1.
        train_loss: Mean loss over the batches, penalties included.
        val_loss: Cross entropy on the validation images, `None` without them.
        val_top1: Share of validation images classified right, `None` without them.
        learning_rate: Of the last step.
        seconds: Wall time, evaluation included.
    """

    epoch: int
    train_loss: float
    val_loss: float | None
    val_top1: float | None
    learning_rate: float
    seconds: float


@dataclass
class Position:
    """Where a training stands: all that a resumed one needs.

    Attributes:
        history: Finished epochs.
        best_epoch: From 1; 0 before the first.
        best: Model variables at the best epoch.
        current: Model and optimizer variables now.
    """

    history: list[Epoch]
    best_epoch: int
    best: list[npt.NDArray[Any]]
    current: list[npt.NDArray[Any]]

    @property
    def best_top1(self) -> float:
        """Validation top-1 at the best epoch."""
        return self.history[self.best_epoch - 1].val_top1 or 0.0


OnEpoch = Callable[[Epoch, Callable[[], Position]], None]


def compile_model(model: keras.Model, spec: TrainingSpec) -> None:
    """Give the model the optimizer and the loss of `spec`.

    XLA is left to the engine: compiled by itself, TensorFlow's XLA trains
    convolutions several times slower on a CPU.
    """
    model.compile(optimizer=build_optimizer(spec, model), loss=build_loss(spec), jit_compile=False)


def train(
    model: keras.Model,
    spec: TrainingSpec,
    train_set: Examples,
    val_set: Examples | None,
    seed: int,
    on_epoch: OnEpoch | None = None,
    start: Position | None = None,
    stop_after: int | None = None,
) -> Position:
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
        on_epoch: Called after each epoch with a function that captures the
            position, for checkpoints.
        start: Go on from here.
        stop_after: End after so many epochs of the `spec.epochs` that the
            schedule is laid out for.

    Raises:
        TrialFailed: The loss is not finite.
        UsageError: Windows of pooled features were to be mixed.
    """
    if spec.cutmix and len(train_set.x.shape) != MAPS:
        raise UsageError("cutmix needs images or cached maps.", "set cutmix to 0, or use mixup")
    with mixed_precision(model, spec.mixed_precision):
        return _trained(model, spec, train_set, val_set, seed, on_epoch, start, stop_after)


def _trained(
    model: keras.Model,
    spec: TrainingSpec,
    train_set: Examples,
    val_set: Examples | None,
    seed: int,
    on_epoch: OnEpoch | None,
    start: Position | None,
    stop_after: int | None,
) -> Position:
    compile_model(model, spec)
    engine = build_engine(model, train_set)
    at = _begin(engine, start)
    while not _finished(spec, at, stop_after):
        begun = time.monotonic()
        epoch = len(at.history)
        plan = plan_epoch(spec, train_set.labels, train_set.x.shape[1], seed, epoch)
        rate = rates(spec, epoch, plan.steps, _epochs_since_loss_improved(at.history))
        loss = engine.run(plan, rate)
        with engine.averaged(bool(spec.averaging)):
            val_loss, val_top1 = _validated(engine, val_set)
            if not all(math.isfinite(value) for value in (loss, val_loss or 0.0)):
                raise TrialFailed(f"the loss became {loss:g} in epoch {epoch + 1}")
            seconds = time.monotonic() - begun
            row = Epoch(epoch + 1, loss, val_loss, val_top1, float(rate[-1]), seconds)
            _record(engine, at, row)
        if on_epoch:
            on_epoch(row, lambda: _captured(engine, at))
    engine.restore(at.best)
    return at


def _begin(engine: Engine, start: Position | None) -> Position:
    if start is None:
        return Position([], 0, [], [])
    engine.restore(start.current)
    return Position([*start.history], start.best_epoch, start.best, start.current)


def _finished(spec: TrainingSpec, at: Position, stop_after: int | None) -> bool:
    done = len(at.history)
    waited = spec.patience_epochs and done - at.best_epoch >= spec.patience_epochs
    return done >= (stop_after or spec.epochs) or (done > 0 and bool(waited))


def _validated(engine: Engine, val_set: Examples | None) -> tuple[float | None, float | None]:
    if val_set is None:
        return None, None
    logits = engine.logits(val_set.x)
    top1 = float((logits.argmax(1) == val_set.labels).mean())
    return cross_entropy(logits, val_set.labels), top1


def cross_entropy(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Mean cross entropy in nats of logits `[N, C]` and labels `[N]`."""
    wide = logits.astype(np.float64)
    top = wide.max(1, keepdims=True)
    total = np.log(np.exp(wide - top).sum(1)) + top[:, 0]
    return float((total - wide[np.arange(len(labels)), labels]).mean())


def _record(engine: Engine, at: Position, row: Epoch) -> None:
    better = row.val_top1 is None or at.best_epoch == 0 or row.val_top1 > at.best_top1
    at.history.append(row)
    if better:
        at.best_epoch = row.epoch
        at.best = engine.capture()[: len(engine.model.variables)]


def _captured(engine: Engine, at: Position) -> Position:
    return Position([*at.history], at.best_epoch, at.best, engine.capture())


def _epochs_since_loss_improved(history: list[Epoch]) -> int:
    losses = [row.val_loss for row in history if row.val_loss is not None]
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0
