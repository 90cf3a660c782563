"""Learning-rate schedules as pure functions of the position in the training."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cars_bench.training.specs import Schedule, TrainingSpec


def rates(
    spec: TrainingSpec, epoch: int, steps: int, since_improved_epochs: int = 0
) -> npt.NDArray[np.float32]:
    """Learning rate of every step of one epoch.

    Args:
        spec: Gives the peak rate, the schedule and the number of epochs.
        epoch: From 0.
        steps: Steps in an epoch.
        since_improved_epochs: Epochs since the validation loss last improved.

    Returns:
        float32 `[steps]`.
    """
    positions = epoch + np.arange(steps) / steps
    peak = spec.learning_rate
    schedule = spec.schedule
    match schedule.kind:
        case "step":
            values = [_step(schedule, peak, epoch, since_improved_epochs)] * steps
        case "piecewise":
            values = [_piecewise(schedule, epoch + 1)] * steps
        case "cosine":
            values = [_cosine(schedule, peak, at, spec.epochs) for at in positions]
        case "triangular":
            values = [_triangular(schedule, peak, at, 1.0) for at in positions]
        case "exp_range":
            decay = schedule.gamma ** (np.arange(steps) + epoch * steps)
            values = [
                _triangular(schedule, peak, at, scale)
                for at, scale in zip(positions, decay, strict=True)
            ]
        case _:
            values = [peak] * steps
    return np.asarray(values, np.float32)


def laid_out(spec: TrainingSpec, epochs: int) -> TrainingSpec:
    """The same training with its schedule laid out for another number of epochs.

    What the schedule counts in epochs shrinks or grows with them, so that the curve keeps
    its shape; whole numbers of epochs stay at 1 or more.

    Args:
        spec: A training.
        epochs: At least 1.
    """
    share = epochs / spec.epochs
    if share == 1:
        return spec
    schedule = spec.schedule
    stretched = replace(
        schedule,
        every_epochs=_stretched(schedule.every_epochs, share),
        boundaries=tuple(_stretched(boundary, share) for boundary in schedule.boundaries),
        warmup_epochs=schedule.warmup_epochs * share,
        cycle_epochs=schedule.cycle_epochs * share,
        gamma=schedule.gamma ** (1 / share),
    )
    patience = spec.patience_epochs and _stretched(spec.patience_epochs, share)
    return replace(spec, epochs=epochs, patience_epochs=patience, schedule=stretched)


def _stretched(epochs: int, share: float) -> int:
    return max(1, round(epochs * share))


def _step(schedule: Schedule, peak: float, epoch: int, since_improved: int) -> float:
    """Divide by `factor` every `every_epochs`, not below the floor; rise on a plateau."""
    rate = max(peak / schedule.factor ** (epoch // schedule.every_epochs), schedule.floor)
    stuck = since_improved > 0 and since_improved % schedule.every_epochs == 0
    return rate * schedule.rise if stuck else rate


def _piecewise(schedule: Schedule, epoch_from_one: int) -> float:
    index = sum(epoch_from_one >= boundary for boundary in schedule.boundaries)
    return schedule.values[index]


def _cosine(schedule: Schedule, peak: float, at: float, epochs: int) -> float:
    """Linear warm-up, then half a cosine (Loshchilov & Hutter 2017)."""
    if at < schedule.warmup_epochs:
        return peak * at / schedule.warmup_epochs
    share = (at - schedule.warmup_epochs) / max(epochs - schedule.warmup_epochs, 1e-9)
    floor = min(schedule.floor, peak)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _triangular(schedule: Schedule, peak: float, at: float, scale: float) -> float:
    """Cyclic rates between `minimum` and the peak (Smith 2015); `scale` damps the peak.

    `cycle_epochs` is his step size: the way up, or the way down, not both.
    """
    cycle = math.floor(1 + at / (2 * schedule.cycle_epochs))
    distance = abs(at / schedule.cycle_epochs - 2 * cycle + 1)
    return schedule.minimum + (peak - schedule.minimum) * max(0.0, 1 - distance) * scale
