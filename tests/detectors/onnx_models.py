"""Tiny ONNX detectors that really find something: the one red rectangle of a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
RED = (255, 0, 0)
DARK = (10, 10, 60)
COPIES = 252
"""Rows of version 5 for an input of 64 pixels: 3 * (8 * 8 + 4 * 4 + 2 * 2)."""


class Graph:
    """An ONNX graph in the making; `node` gives the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: object) -> str:
        made = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [made], **attributes))
        return made

    def save(
        self, path: Path, shape: Sequence[int | str], kind: int, outputs: dict[str, int]
    ) -> Path:
        """With the input `images` and the outputs by their element types."""
        graph = helper.make_graph(
            self.nodes,
            "detector",
            [helper.make_tensor_value_info("images", kind, shape)],
            [helper.make_tensor_value_info(name, item, None) for name, item in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, path)
        return path


def _edges(graph: Graph, side: int, batched: bool, whole: bool) -> tuple[list[str], str]:
    """x1, y1, x2, y2 of what is red, in pixels, each [1, 1, 1]; and 1 if anything is."""
    pixels = graph.node("Cast", "images", to=TensorProto.FLOAT)
    if not batched:
        pixels = graph.node("Unsqueeze", pixels, graph.constant([0], np.int64))
    red, green = (
        graph.node("Gather", pixels, graph.constant(colour, np.int64), axis=1) for colour in (0, 1)
    )
    limit = graph.constant(127.0 if whole else 0.5)
    seen = graph.node("Greater", graph.node("Sub", red, green), limit)
    mask = graph.node("Cast", seen, to=TensorProto.FLOAT)
    anything = graph.node("ReduceMax", mask, axes=[1, 2], keepdims=1)
    ends = [
        graph.node("ReduceMax", graph.node("Mul", line, graph.constant(weights)), axes=[1, 2])
        for axis in (1, 2)
        for line in [graph.node("ReduceMax", mask, axes=[axis], keepdims=1)]
        for ramp in [np.arange(side).reshape((1, 1, side) if axis == 1 else (1, side, 1))]
        for weights in (side - ramp, ramp + 1)
    ]
    left, top = (graph.node("Sub", graph.constant(side), end) for end in (ends[0], ends[2]))
    return [left, top, ends[1], ends[3]], anything


def _scaled(graph: Graph, values: list[str], factor: float) -> list[str]:
    return [graph.node("Mul", value, graph.constant(factor)) for value in values]


def separate(
    path: Path, *, shares: bool = False, tensorflow: bool = False, label: int = 1, **given: object
) -> Path:
    """Boxes, scores and labels, as torchvision and detectron2 (or TensorFlow) export them."""
    graph, edges, anything = _begun(**given)
    if shares or tensorflow:
        edges = _scaled(graph, edges, 1 / SIDE)
    order = (1, 0, 3, 2) if tensorflow else (0, 1, 2, 3)
    flat = [1, 1] if tensorflow else [1]
    names = ("detection_boxes", "detection_scores", "detection_classes")
    boxes, scores, labels = names if tensorflow else ("4711", "4713", "4712")
    together = graph.node("Concat", *(edges[place] for place in order), axis=-1)
    graph.node("Reshape", together, graph.constant([*flat, 4], np.int64), name=boxes)
    sure = graph.node("Mul", anything, graph.constant(0.9))
    graph.node("Reshape", sure, graph.constant(flat, np.int64), name=scores)
    numbers = np.float32 if tensorflow else np.int64
    graph.node("Identity", graph.constant(np.full(flat, label), numbers), name=labels)
    kind = TensorProto.FLOAT if tensorflow else TensorProto.INT64
    outputs = {boxes: TensorProto.FLOAT, labels: kind, scores: TensorProto.FLOAT}
    return _saved(graph, path, outputs, **given)


def _centred(graph: Graph, edges: list[str]) -> str:
    left, top, right, bottom = edges
    half = graph.constant(0.5)
    sums = [graph.node("Add", low, high) for low, high in ((left, right), (top, bottom))]
    sides = [graph.node("Sub", high, low) for low, high in ((left, right), (top, bottom))]
    centres = [graph.node("Mul", value, half) for value in sums]
    return graph.node("Concat", *centres, *sides, axis=-1)


def yolo5(path: Path, classes: int = 3, **given: object) -> Path:
    """[1, n, 5 + c]: the same box in every row, ever less sure, of the last class."""
    graph, edges, anything = _begun(**given)
    boxes = graph.node("Mul", _centred(graph, edges), graph.constant(np.ones((1, COPIES, 1))))
    falling = graph.constant(np.linspace(0.95, 0, COPIES).reshape(1, COPIES, 1))
    sure = graph.node("Mul", anything, falling)
    chances = graph.constant(np.tile(np.eye(classes)[-1] * 0.9, (1, COPIES, 1)))
    graph.node("Concat", boxes, sure, chances, axis=2, name="output")
    return _saved(graph, path, {"output": TensorProto.FLOAT}, **given)


def yolo8(path: Path, classes: int = 3, **given: object) -> Path:
    """[1, 4 + c, n]: the same box in every column, ever less sure, of the last class."""
    graph, edges, anything = _begun(**given)
    centred = graph.node("Transpose", _centred(graph, edges), perm=[0, 2, 1])
    boxes = graph.node("Mul", centred, graph.constant(np.ones((1, 1, 84))))
    falling = np.linspace(0.9, 0, 84)[None, None] * np.eye(classes)[-1][None, :, None]
    chances = graph.node("Mul", anything, graph.constant(falling))
    graph.node("Concat", boxes, chances, axis=1, name="output0")
    return _saved(graph, path, {"output0": TensorProto.FLOAT}, **given)


def finished(path: Path, label: int = 2, rows: int = 30, **given: object) -> Path:
    """[1, n, 6]: one answer, and rows of nothing after it."""
    graph, edges, anything = _begun(**given)
    sure = graph.node("Mul", anything, graph.constant(0.9))
    last = graph.constant(np.full((1, 1, 1), label))
    answer = graph.node("Concat", *edges, sure, last, axis=2)
    nothing = graph.constant(np.zeros((1, rows - 1, 6)))
    graph.node("Concat", answer, nothing, axis=1, name="output0")
    return _saved(graph, path, {"output0": TensorProto.FLOAT}, **given)


def _begun(
    shape: Sequence[int | str] = (1, 3, SIDE, SIDE), kind: int = TensorProto.FLOAT, side: int = SIDE
) -> tuple[Graph, list[str], str]:
    graph = Graph()
    edges, anything = _edges(graph, side, len(shape) == 4, kind == TensorProto.UINT8)
    return graph, edges, anything


def _saved(
    graph: Graph,
    path: Path,
    outputs: dict[str, int],
    shape: Sequence[int | str] = (1, 3, SIDE, SIDE),
    kind: int = TensorProto.FLOAT,
    side: int = SIDE,
) -> Path:
    return graph.save(path, shape, kind, outputs)


def named(path: Path, names: str) -> Path:
    """With names as ultralytics writes them."""
    model = onnx.load(path)
    entry = model.metadata_props.add()
    entry.key = "names"
    entry.value = names
    onnx.save(model, path)
    return path


def altered(path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """With something else about the file."""
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path
