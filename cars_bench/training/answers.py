"""What a model says of images: logits, and behind them a box where its head has one.

A model puts out one tensor `[B, C]` or `[B, C + 4]`, so that every loop has one output;
only here is it known where the one part ends and the other begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

HEAD = "head"
BOX_LAYER = "box"
EDGES = 4
"""x1, y1, x2, y2 as shares of the view's width and height."""
PROBABILITIES = "probabilities"
BOX = "box"
"""The outputs of a finished model that has both."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """What a model says of N images.

    Attributes:
        logits: float32 `[N, C]`.
        boxes: float32 `[N, 4]`, x1, y1, x2, y2 as shares of the view's sides, 0 to 1;
            `None` where its head has no box.
    """

    logits: Floats
    boxes: Floats | None = None

    @classmethod
    def of(cls, outputs: Floats, classes: int) -> Answers:
        """Those in a model's outputs, float32 `[N, C]` or `[N, C + 4]`."""
        logits, boxes = split_outputs(outputs, classes)
        return cls(logits, boxes if boxes.shape[1] else None)


class Parts(NamedTuple):
    """Outputs of any array library, cut in two."""

    logits: Any
    boxes: Any


def split_outputs(outputs: Any, classes: int) -> Parts:
    """Logits `[..., C]` and boxes `[..., 4]`, or `[..., 0]` without; of any array library."""
    return Parts(outputs[..., :classes], outputs[..., classes:])


def has_box(model: keras.Model) -> bool:
    """Whether a model, a head or what has one on top, answers with a box."""
    heads = [part for part in (model, *model.layers) if part.name == HEAD]
    return any(layer.name == BOX_LAYER for head in heads for layer in head.layers)


def class_count(model: keras.Model) -> int:
    """C of a model that puts out `[B, C]` or `[B, C + 4]`."""
    return int(model.output_shape[-1]) - (EDGES if has_box(model) else 0)


def named_outputs(outputs: Any) -> dict[str, Any]:
    """A finished model's outputs by their names, also where it has only probabilities."""
    return dict(outputs) if isinstance(outputs, dict) else {PROBABILITIES: outputs}
