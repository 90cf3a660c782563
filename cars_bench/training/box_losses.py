"""How far boxes are off, in keras.ops for every backend; boxes are x1, y1, x2, y2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from cars_bench.training.answers import split_outputs

BEND = 0.1
"""Where smooth L1 turns from a parabola into a line, as a share of the view's side."""
TINY = 1e-7


def smooth_l1(true: Any, said: Any) -> Any:
    """Smooth L1 over the four edges (Girshick 2015), `[..., 4]` each; gives `[...]`.

    Its slope is 1 beyond `BEND`, whatever that is, so box and class weigh alike.
    """
    far = ops.abs(true - said)
    return ops.sum(ops.where(far < BEND, far * far / (2 * BEND), far - BEND / 2), axis=-1)


def giou_loss(true: Any, said: Any) -> Any:
    """1 less the generalized IoU (Rezatofighi et al. 2019), `[..., 4]` each; gives `[...]`.

    Where two boxes do not meet it still falls as they come closer: 0 for equal ones, 2 at most.
    """
    common = _area(_meet(true, said))
    union = _area(true) + _area(said) - common
    hull = _area(_hull(true, said))
    iou = common / ops.maximum(union, TINY)
    return 1 - iou + (hull - union) / ops.maximum(hull, TINY)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {"smooth_l1": smooth_l1, "giou": giou_loss}
"""By the name that `TrainingSpec.box_loss` has for it."""


class ClassAndBoxLoss(keras.losses.Loss):  # type: ignore[misc]
    """The loss of the class and, times a weight, that of the box, where an image has one.

    Args:
        class_loss: Of logits and soft targets `[B, C]`.
        box_loss: A name in `LOSSES`.
        box_weight: Of the box's loss.
        classes: C.
    """

    def __init__(
        self, class_loss: keras.losses.Loss, box_loss: str, box_weight: float, classes: int
    ) -> None:
        super().__init__(name="class_and_box", reduction="sum")
        self.class_loss = class_loss
        self.box_loss = LOSSES[box_loss]
        self.box_weight = box_weight
        self.classes = classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each image `[B]`, of targets and outputs `[B, C + 4]`.

        A target's box that is NaN costs nothing.
        """
        labels, boxes = split_outputs(y_true, self.classes)
        logits, said = split_outputs(y_pred, self.classes)
        known = ops.logical_not(ops.any(ops.isnan(boxes), axis=-1))
        # What is said stands in for an unknown box, for NaN times 0 is still NaN in a gradient.
        boxes = ops.where(known[:, None], boxes, ops.stop_gradient(said))
        off = ops.where(known, self.box_loss(boxes, said), 0.0)
        return self.class_loss.call(labels, logits) + self.box_weight * off


def _meet(one: Any, other: Any) -> Any:
    """What two boxes share; inside out where they share nothing."""
    return _joined(
        ops.maximum(one[..., :2], other[..., :2]), ops.minimum(one[..., 2:], other[..., 2:])
    )


def _hull(one: Any, other: Any) -> Any:
    """The smallest box around both."""
    return _joined(
        ops.minimum(one[..., :2], other[..., :2]), ops.maximum(one[..., 2:], other[..., 2:])
    )


def _joined(start: Any, end: Any) -> Any:
    return ops.concatenate([start, end], axis=-1)


def _area(box: Any) -> Any:
    """0 where a box is inside out."""
    sides = ops.maximum(box[..., 2:] - box[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]
