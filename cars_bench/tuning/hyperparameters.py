"""Hyperparameters of heads and their training: what their names mean, and what reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cars_bench.training.specs import (
    READ_BY,
    DenseLayer,
    HeadSpec,
    Schedule,
    TrainingSpec,
    refuse_mixed_boxes,
)

DEEPEST = 8
LAYER_FIELDS = ("activation", "batch_norm", "dropout")
HEAD_FIELDS = {
    "normalisation": "normalisation",
    "features_dropout": "dropout",
    "noise": "noise",
    "l1": "l1",
    "l2": "l2",
    "box": "box",
}
TRAINING_FIELDS = {
    name: name
    for name in (
        "optimizer",
        "batch_size",
        "epochs",
        "patience_epochs",
        "momentum",
        "weight_decay",
        "epsilon",
        "clip_norm",
        "loss",
        "label_smoothing",
        "focal_gamma",
        "sampling",
        "views",
        "mixup",
        "learning_rate",
        "box_weight",
        "box_loss",
    )
} | {"sgd_learning_rate": "learning_rate"}
UNITS = tuple(f"units_{index}" for index in range(1, DEEPEST + 1))
KNOWN = {"depth", "schedule", *UNITS, *LAYER_FIELDS, *HEAD_FIELDS, *TRAINING_FIELDS}
BOX_FIELDS = ("box_weight", "box_loss")
LEARNING_RATE = "learning_rate"

Values = dict[str, Any]
Conditions = tuple[tuple[str, tuple[Any, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One named dimension of a space.

    Attributes:
        name: One of the names that `specs_of` understands.
        kind: `int`, `float` or `choice`.
        low: Smallest value of a number.
        high: Largest value of a number.
        step: Distance between values of a number; `None` for all of them.
        log: Sampled evenly in the logarithm.
        values: What a choice may be.
        when: Active only if each named hyperparameter has one of these values.
    """

    name: str
    kind: str
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    values: tuple[Any, ...] = ()
    when: Conditions = ()

    def is_active(self, values: Values) -> bool:
        """Whether it is, among these values of earlier ones."""
        return all(name in values and values[name] in wanted for name, wanted in self.when)


Met = Callable[[HeadSpec, TrainingSpec, Schedule], bool]


@dataclass(frozen=True)
class Reader:
    """What a hyperparameter must meet to change anything.

    Attributes:
        setting: The hyperparameter that may bring it.
        lacking: What is said where no trial has it.
        fix: What mends that.
        met: Whether a head and its training have it; asked beside them is the schedule that the
            space holds in full, whose rates no peak moves.
    """

    setting: str
    lacking: str
    fix: str
    met: Met


def reader_of(name: str) -> Reader | None:
    """What a hyperparameter must meet to change anything; `None` where it always does."""
    if name in (*UNITS, *LAYER_FIELDS):
        fewest = UNITS.index(name) + 1 if name in UNITS else 1
        return Reader(
            "depth",
            "the head does not have its layer",
            "add the layer to the head, or a depth",
            lambda head, training, own: len(head.layers) >= fewest,
        )
    if name in BOX_FIELDS:
        fix = "add box: true to the head, or leave it out"
        return Reader("box", "the head has no box", fix, lambda head, training, own: head.box)
    if name in READ_BY:
        setting, kinds = READ_BY[name]
        return Reader(
            setting,
            f"it is of the {setting} {' and '.join(kinds)} alone",
            f"take {setting} {kinds[0]}, or leave it out",
            lambda head, training, own: getattr(training, setting) in kinds,
        )
    if TRAINING_FIELDS.get(name) == LEARNING_RATE:
        return Reader(
            "schedule",
            "the piecewise schedule has rates of its own, in its values",
            "leave it out, or take another kind of schedule",
            lambda head, training, own: training.schedule.kind != "piecewise" or own == Schedule(),
        )
    return None


def specs_of(
    values: Values, head: HeadSpec | None = None, training: TrainingSpec | None = None
) -> tuple[HeadSpec, TrainingSpec]:
    """The head and the training that a set of hyperparameter values means.

    Args:
        values: By name.
        head: What they vary; its layers give way to a `depth`.
        training: The same of the training.

    Raises:
        UsageError: A value is out of its range, or they do not go together.
    """
    found = varied(values, head or HeadSpec(), training or TrainingSpec())
    refuse_mixed_boxes(found[0].box, found[1])
    return found


def varied(values: Values, head: HeadSpec, training: TrainingSpec) -> tuple[HeadSpec, TrainingSpec]:
    """As `specs_of`, whether they go together or not.

    Raises:
        UsageError: A value is out of its range.
    """
    head = replace(head, layers=_layers(values, head), **_renamed(values, HEAD_FIELDS))
    training = replace(training, **_renamed(values, TRAINING_FIELDS))
    if "schedule" in values:
        schedule = _scheduled(str(values["schedule"]), training)
        training = replace(training, schedule=schedule)
    return head, training


def _layers(values: Values, head: HeadSpec) -> tuple[DenseLayer, ...]:
    common = {key: values[key] for key in LAYER_FIELDS if key in values}
    if "depth" in values:
        names = UNITS[: int(values["depth"])]
        return tuple(DenseLayer(int(values.get(name, 256)), **common) for name in names)
    return tuple(
        replace(layer, units=int(values.get(f"units_{number}", layer.units)), **common)
        for number, layer in enumerate(head.layers, 1)
    )


def _scheduled(kind: str, training: TrainingSpec) -> Schedule:
    """A schedule of this kind: the training's own shape, else one that follows its peak."""
    if training.schedule != Schedule():
        return replace(training.schedule, kind=kind)
    peak = training.learning_rate
    # The published piecewise rates start at 0.001; keep their shape at any peak.
    values = tuple(peak * share for share in (1.0, 0.5, 0.05, 0.01))
    return Schedule(kind=kind, minimum=peak / 10, values=values, warmup_epochs=1.0)


def _renamed(values: Values, names: dict[str, str]) -> Values:
    return {field: values[name] for name, field in names.items() if name in values}
