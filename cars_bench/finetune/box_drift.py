"""Boxes of two models that should be one, of the same images; Keras is not imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cars_bench.errors import HandoffFailed
from cars_bench.evaluation.boxes import ious

LARGEST_BOX_DIFFERENCE = 1e-2  # of an edge, as a share of the view's side
LEAST_BOX_IOU = 0.9  # mean over the images, of a float32 model and one of reduced precision

Logits = npt.NDArray[np.float32]


class Answers(Protocol):
    """As `training.answers.Answers`, which needs Keras."""

    @property
    def logits(self) -> Logits:
        """float32 `[N, C]`."""

    @property
    def boxes(self) -> Logits | None:
        """float32 `[N, 4]`, as shares of the view's sides; `None` without."""


@dataclass(frozen=True)
class BoxDrift:
    """Boxes of one model against another's, of the same images.

    Attributes:
        max_abs_diff: Largest difference of one edge, as a share of the view's side.
        mean_iou: Mean IoU of an image's two boxes.
    """

    max_abs_diff: float
    mean_iou: float

    def require_alike(self, model: str, other: str) -> None:
        """Stop where two models put the object at different places.

        Raises:
            HandoffFailed: Says how far apart they are.
        """
        if self.mean_iou < LEAST_BOX_IOU:
            raise HandoffFailed(
                f"{model} puts boxes elsewhere than {other}: their mean IoU is "
                f"{self.mean_iou:.3f} (at least {LEAST_BOX_IOU:g}).",
                "extract again with --runtime tensorflow, whose precision is float32, and tune "
                "again",
            )


def box_drift(before: Answers, after: Answers) -> BoxDrift | None:
    """What two models say of the same images; `None` where not both tell boxes."""
    if before.boxes is None or after.boxes is None:
        return None
    return BoxDrift(
        max_abs_diff=float(np.abs(after.boxes - before.boxes).max()),
        mean_iou=float(ious(before.boxes, after.boxes).mean()),
    )
