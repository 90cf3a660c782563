"""Every schedule against its published formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cars_bench.training.schedules import laid_out, rates
from cars_bench.training.specs import Schedule, TrainingSpec

STEPS = 5


def spec(peak: float = 0.01, epochs: int = 40, **schedule) -> TrainingSpec:
    return TrainingSpec(learning_rate=peak, epochs=epochs, schedule=Schedule(**schedule))


def whole(training: TrainingSpec) -> np.ndarray:
    return np.concatenate([rates(training, epoch, STEPS) for epoch in range(training.epochs)])


def test_constant_stays_at_its_peak():
    assert whole(spec()) == pytest.approx(0.01)


def test_step_divides_by_1_3_every_ten_epochs():
    training = spec(kind="step", factor=1.3, every_epochs=10)
    for epoch in range(40):
        assert rates(training, epoch, STEPS) == pytest.approx(0.01 / 1.3 ** (epoch // 10))


def test_step_never_falls_below_its_floor():
    training = spec(1e-5, 400, kind="step", factor=1.3, every_epochs=10, floor=1e-6)
    assert rates(training, 399, STEPS) == pytest.approx(1e-6)


@pytest.mark.parametrize(("stuck", "times"), [(0, 1), (9, 1), (10, 3), (11, 1), (20, 3)])
def test_step_rises_for_one_epoch_once_a_plateau_is_reached(stuck, times):
    training = spec(kind="step", every_epochs=10, rise=3.0)
    assert rates(training, 5, STEPS, stuck) == pytest.approx(0.01 * times)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(1, 1e-3), (6, 1e-3), (7, 5e-4), (8, 5e-5), (15, 5e-5), (16, 1e-5), (40, 1e-5)],
)
def test_piecewise_changes_at_epochs_7_8_and_16_counted_from_one(epoch, rate):
    assert rates(spec(kind="piecewise"), epoch - 1, STEPS) == pytest.approx(rate)


def test_cosine_warms_up_then_falls_to_its_floor():
    training = spec(kind="cosine", warmup_epochs=4.0, floor=1e-4)
    for index, rate in enumerate(whole(training)):
        at = index / STEPS
        half = 0.5 * (1 + math.cos(math.pi * (at - 4) / 36))
        expected = 0.01 * at / 4 if at < 4 else 1e-4 + (0.01 - 1e-4) * half
        assert rate == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "gamma"), [("triangular", 1.0), ("exp_range", 0.99)])
def test_cyclic_rates_follow_smith_2015(kind, gamma):
    training = spec(kind=kind, minimum=1e-3, cycle_epochs=4.0, gamma=gamma)
    step_size = 4 * STEPS
    for iteration, rate in enumerate(whole(training)):
        cycle = math.floor(1 + iteration / (2 * step_size))
        x = abs(iteration / step_size - 2 * cycle + 1)
        expected = 1e-3 + (0.01 - 1e-3) * max(0, 1 - x) * gamma**iteration
        assert rate == pytest.approx(expected, rel=1e-4, abs=1e-8)


BATCHES = 89
"""Steps of an epoch of 5,688 training images, at 64 a step."""


def cycles(low: float, high: float, half_cycle: int, gamma: float, count: int) -> np.ndarray:
    """`exp_range` of Smith 2015 as an interpolation between its corners, damped a step."""
    corners = np.arange(0, count + 2 * half_cycle, half_cycle)
    heights = np.arange(len(corners)) % 2
    steps = np.arange(count)
    return low + (high - low) * np.interp(steps, corners, heights) * gamma**steps


def published(training: TrainingSpec) -> np.ndarray:
    """The rate of every step, without a plateau of the loss."""
    return np.concatenate([rates(training, epoch, BATCHES) for epoch in range(training.epochs)])


def divided_every_ten(epochs: int) -> np.ndarray:
    rate, found = 5e-4, []
    for epoch in range(epochs):
        rate = rate / 1.3 if epoch and epoch % 10 == 0 else rate
        found += [max(rate, 1e-6)] * BATCHES
    return np.array(found)


@pytest.mark.parametrize(
    ("peak", "epochs", "schedule", "expected"),
    [
        (5e-4, 100, {}, np.full(100 * BATCHES, 5e-4)),
        (5e-4, 300, {"kind": "step", "factor": 1.3, "every_epochs": 10, "floor": 1e-6},
         divided_every_ten(300)),
        (4e-4, 100, {"kind": "exp_range", "minimum": 4e-6, "cycle_epochs": 5, "gamma": 0.99994},
         cycles(4e-6, 4e-4, 5 * BATCHES, 0.99994, 100 * BATCHES)),
        (1.2e-3, 100, {"kind": "exp_range", "minimum": 6e-6, "cycle_epochs": 5, "gamma": 0.99997},
         cycles(6e-6, 1.2e-3, 5 * BATCHES, 0.99997, 100 * BATCHES)),
        (1e-3, 40,
         {"kind": "piecewise", "boundaries": (7, 8, 16), "values": (1e-3, 5e-4, 5e-5, 1e-5)},
         np.repeat([1e-3, 5e-4, 5e-5, 1e-5], np.array([6, 1, 8, 25]) * BATCHES)),
    ],
    ids=["constant", "divided by 1.3", "cyclic to 4e-4", "cyclic to 1.2e-3", "piecewise"],
)  # fmt: skip
def test_the_published_experiments_can_be_put_exactly(peak, epochs, schedule, expected):
    np.testing.assert_allclose(published(spec(peak, epochs, **schedule)), expected, rtol=2e-5)


def test_a_whole_cycle_takes_twice_its_epochs():
    training = spec(4e-4, 30, kind="exp_range", minimum=4e-6, cycle_epochs=5, gamma=1.0)
    found = published(training)
    lowest = np.flatnonzero(np.isclose(found, 4e-6))
    assert list(lowest) == [0, 10 * BATCHES, 20 * BATCHES]


def test_the_brief_rise_at_the_plateau_leaves_the_other_epochs_alone():
    """The loss improves until epoch 24, then no more: the rate rises in epochs 35 and 45."""
    plain = spec(5e-4, 60, kind="step", factor=1.3, every_epochs=10, floor=1e-6)
    risen = spec(5e-4, 60, kind="step", factor=1.3, every_epochs=10, floor=1e-6, rise=4.0)
    for epoch in range(50):
        times = rates(risen, epoch, 1, max(0, epoch - 24)) / rates(plain, epoch, 1)
        assert times == pytest.approx(4.0 if epoch in (34, 44) else 1.0)


def test_a_schedule_laid_out_for_fewer_epochs_keeps_its_shape():
    schedule = Schedule(kind="cosine", warmup_epochs=2.0, floor=0.0)
    whole = TrainingSpec(epochs=20, schedule=schedule, patience_epochs=0)
    half = laid_out(whole, 10)
    curves = [[rates(spec, epoch, 1)[0] for epoch in range(spec.epochs)] for spec in (whole, half)]
    np.testing.assert_allclose(curves[0][::2], curves[1], atol=1e-9)
    assert laid_out(whole, 20) is whole


def test_what_is_counted_in_whole_epochs_stays_at_one_or_more():
    schedule = Schedule(kind="piecewise", boundaries=(7, 8), values=(0.1, 0.01, 0.001))
    found = laid_out(TrainingSpec(epochs=20, schedule=schedule, patience_epochs=6), 2)
    assert found.schedule.boundaries == (1, 1)
    assert (found.patience_epochs, found.schedule.every_epochs) == (1, 1)
