"""What the outputs of a detector's file mean: common layouts, told apart by shapes and names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from cars_bench.data.detection import LEAST_SCORE
from cars_bench.errors import InputError

OVERLAP = 0.5
"""IoU from which of two boxes of one class the less sure one is taken for the same object."""
CANDIDATES = 1000
"""The surest boxes of a picture that are held against each other; the rest is noise."""
SHARES_UP_TO = 1.5
"""Boxes in shares of the picture reach no farther, and those in pixels mean nothing so small."""
ROUNDING = 1e-3
EDGES = 4
OBJECTNESS = 5
FINISHED = 6
"""Columns: the edges of a box, those and whether there is anything, those with score and label."""
TABLES = 3
"""Dimensions: a table for each picture of a batch."""
STRIDES = ((8, 16, 32), (8, 16, 32, 64))
ANCHORS = 3
KNOWN = "export it as YOLO does, or with boxes, scores and labels as its outputs"

Floats = npt.NDArray[np.floating]
Size = tuple[int, int]
"""Width and height of the network's input, in pixels."""


@dataclass(frozen=True)
class Output:
    """One output of a network.

    Attributes:
        name: All its names.
        shape: `None` where only a picture tells.
        whole: Its numbers are integers.
    """

    name: str
    shape: tuple[int | None, ...]
    whole: bool = False

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name or 'unnamed'} [{sides}]"


@dataclass(frozen=True, eq=False)
class Found:
    """Objects in one picture.

    Attributes:
        boxes: x1, y1, x2, y2 in pixels of the input, [N, 4].
        scores: 0 to 1, [N].
        labels: Numbers of the classes, int [N].
    """

    boxes: Floats
    scores: Floats
    labels: npt.NDArray[np.int64]

    def only(self, rows: npt.NDArray[np.bool_ | np.int64]) -> Found:
        """Some of them."""
        return Found(self.boxes[rows], self.scores[rows], self.labels[rows])


@dataclass(frozen=True)
class Layout:
    """Which outputs to ask for, and what they say.

    Attributes:
        outputs: Their places.
        classes: How many classes they tell of; `None` where a label may be any number.
        read: From those outputs for one picture to what is in it.
    """

    outputs: tuple[int, ...]
    classes: int | None
    read: Callable[[Sequence[np.ndarray]], Found]


def layout_of(outputs: Sequence[Output], size: Size) -> Layout | None:
    """The layout of a network's outputs; `None` where it is none of those known."""
    return _single(outputs[0], size) if len(outputs) == 1 else _separate(outputs, size)


def _single(output: Output, size: Size) -> Layout | None:
    """YOLO's one tensor: of version 5, of 8 and later, or finished (10, and exports with NMS)."""
    if len(output.shape) != TABLES or output.shape[0] not in (1, None):
        return None
    _, rows, columns = output.shape
    if columns == FINISHED and rows not in {_anchors(size, strides) for strides in STRIDES}:
        return Layout((0,), None, partial(_finished, size=size))
    if rows is None or columns is None:
        return None
    sparse = rows < columns
    classes = rows - EDGES if sparse else columns - OBJECTNESS
    read = partial(_without_objectness if sparse else _with_objectness, size=size)
    return Layout((0,), classes, read) if classes > 0 else None


def _anchors(size: Size, strides: Sequence[int]) -> int:
    """Rows of version 5, which alone tell its one class from a finished answer of six columns."""
    return sum(ANCHORS * (size[0] // stride) * (size[1] // stride) for stride in strides)


def _separate(outputs: Sequence[Output], size: Size) -> Layout | None:
    """Boxes, scores and labels as three of the outputs, told by their names, else their kinds."""
    ready = [item for item in outputs if not item.name.startswith("raw_")]
    wide = [item for item in ready if item.shape and item.shape[-1] == EDGES]
    boxes = _one(wide, ("box",)) or _one(wide, ("",))
    if boxes is None:
        return None
    flat = [item for item in ready if len(item.shape) == len(boxes.shape) - 1]
    labels = _one(flat, ("class", "label")) or _one([item for item in flat if item.whole], ("",))
    scores = _one(flat, ("score", "conf")) or _one(
        [item for item in flat if not item.whole and item is not labels], ("",)
    )
    if labels is None or scores is None or labels is scores:
        return None
    places = tuple(outputs.index(item) for item in (boxes, scores, labels))
    by_rows = boxes.name.startswith("detection_boxes")  # TensorFlow's have y before x
    return Layout(places, None, partial(_as_told, size=size, by_rows=by_rows))


def _one(outputs: Sequence[Output], words: tuple[str, ...]) -> Output | None:
    """The only one with one of the words in its name."""
    found = [item for item in outputs if any(word in item.name.lower() for word in words)]
    return found[0] if len(found) == 1 else None


def _with_objectness(tensors: Sequence[np.ndarray], size: Size) -> Found:
    rows = tensors[0][0]
    return _centred(rows[:, :4], rows[:, 4:5] * rows[:, 5:], size)


def _without_objectness(tensors: Sequence[np.ndarray], size: Size) -> Found:
    rows = tensors[0][0].T
    return _centred(rows[:, :4], rows[:, 4:], size)


def _centred(boxes: Floats, scores: Floats, size: Size) -> Found:
    """Centre, width and height, with a score for every class; many boxes an object."""
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return suppressed(_sound(corners, scores.max(axis=1), scores.argmax(axis=1), size))


def _finished(tensors: Sequence[np.ndarray], size: Size) -> Found:
    rows = tensors[0][0]
    return _sound(rows[:, :4], rows[:, 4], rows[:, 5], size)


def _as_told(tensors: Sequence[np.ndarray], size: Size, by_rows: bool) -> Found:
    boxes, scores, labels = (tensor.reshape(-1) for tensor in tensors)
    corners = boxes.reshape(-1, 4)
    return _sound(corners[:, [1, 0, 3, 2]] if by_rows else corners, scores, labels, size)


def _sound(boxes: Floats, scores: Floats, labels: np.ndarray, size: Size) -> Found:
    """Without what is no box or too unsure; shares of the picture become pixels of it.

    Raises:
        InputError: The scores are not within 0 to 1.
    """
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    if scores[finite].max(initial=0) > 1 + ROUNDING or scores[finite].min(initial=0) < -ROUNDING:
        raise InputError("The detector's scores are not within 0 to 1.", KNOWN)
    shares = boxes[finite].max(initial=0) <= SHARES_UP_TO
    edges = boxes * np.array(size * 2) if shares else boxes
    upright = (edges[:, 2:] > edges[:, :2]).all(axis=1)
    found = Found(edges, np.minimum(scores, 1), np.asarray(np.nan_to_num(labels)).astype(np.int64))
    return found.only(finite & upright & (scores >= LEAST_SCORE) & (found.labels >= 0))


def suppressed(found: Found) -> Found:
    """The surest of all boxes of one class that overlap (greedy NMS; Felzenszwalb et al. 2010)."""
    order = np.argsort(-found.scores, kind="stable")[:CANDIDATES]
    kept = []
    while order.size:
        first = order[0]
        rest = order[1:]
        kept.append(first)
        same = found.labels[rest] == found.labels[first]
        order = rest[~(same & (_overlaps(found.boxes[first], found.boxes[rest]) > OVERLAP))]
    return found.only(np.array(kept, np.int64))


def _overlaps(box: Floats, others: Floats) -> Floats:
    """Intersection over union of a box with each of the others, [N]."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    overlaps: Floats = common / ((box[2:] - box[:2]).prod() + areas - common)
    return overlaps
