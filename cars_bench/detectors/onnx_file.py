"""A detector of one's own as an ONNX file, in any of the common layouts.

It gets RGB pixels, 0 to 255 where its input is of bytes and 0 to 1 otherwise, scaled to fit
its input from the top left corner and padded with grey (letterboxed).
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cars_bench.data.detection import LEAST_SCORE, Detection
from cars_bench.data.images import REDUCING_GAP, RESIZE_METHOD, decode_near
from cars_bench.detectors.detector import Detector, Prepared
from cars_bench.detectors.layouts import KNOWN, OVERLAP, Found, Layout, Output, layout_of
from cars_bench.detectors.network import Network, read_network
from cars_bench.errors import DetectorFailed, InputError
from cars_bench.progress import plural
from cars_bench.workspace import plain_bytes, sha256_file

PREFIX = "onnx:"
SIDE = 640
"""Pixels of the input where the file leaves its size open."""
GREY = 114
UNNAMED = 100
MOST_NAMES = 1 << 20  # bytes
"""Classes that can be told apart where neither names nor the file say how many there are."""
COLOURS = 3
BATCHED = 4
RULES = f"1 {RESIZE_METHOD} {SIDE} {GREY} {LEAST_SCORE} {OVERLAP}"
"""All of ours that can change what is answered; the first number when something else did."""
OUTSIDE = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")
"""Where an ONNX file names another one that holds its weights; the byte is the name's length."""


@dataclass(frozen=True, kw_only=True)
class _Input:
    """A network's one input.

    Attributes:
        width: In pixels.
        height: In pixels.
        batched: It takes several pictures, of which we give one.
        colours_last: As [h, w, 3] rather than [3, h, w].
    """

    width: int
    height: int
    batched: bool
    colours_last: bool

    @property
    def shape(self) -> list[int]:
        sides = [self.height, self.width]
        one = [*sides, COLOURS] if self.colours_last else [COLOURS, *sides]
        return [1, *one] if self.batched else one


class OnnxDetector(Detector):
    """Sees what its file was trained to see.

    Args:
        path: The ONNX file.
        names: Text file with a class a line, that of number 0 first; by default the names that
            the file itself has, else `class 0`, `class 1` and so on.

    Raises:
        InputError: The file is no detector of a known layout, or the names do not fit it.
    """

    def __init__(self, path: Path, names: Path | None = None) -> None:
        if not path.is_file():
            raise InputError(
                f"There is no file {path}.",
                "--crop detector:onnx:FILE, or --detector-weights FILE for where it lies now",
            )
        if path.suffix.lower() != ".onnx":  # or OpenVINO tries all the formats that it knows
            raise InputError(f"{path} is no .onnx file.", "export the detector as ONNX")
        model = read_network(path)
        self._path = path
        self._input = _input_of(model, path)
        taught = _names_in(model)
        try:
            prepared = _taking_pixels(model, self._input)
            self._layout = _layout(prepared, self._input, path)
            self._network = Network(prepared, self._layout.outputs)
        except RuntimeError as error:
            raise _unusable(path, "OpenVINO cannot run it") from error
        self.name = f"{PREFIX}{path}"
        self.class_names = _class_names(self._layout, path, names, taught)
        self.digest = _digest(path, self.class_names)

    def prepared(self, path: Path) -> Prepared:
        """Letterbox a picture to the network's input."""
        width = self._input.width
        height = self._input.height
        image, _ = decode_near(path, max(width, height))
        scale = min(width / image.width, height / image.height)
        shown = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        sheet = Image.new("RGB", (width, height), (GREY,) * COLOURS)
        bilinear = Image.Resampling.BILINEAR
        sheet.paste(image.resize(shown, bilinear, reducing_gap=REDUCING_GAP))
        return Prepared(np.asarray(sheet), *shown)

    def detect(self, pictures: Iterable[Prepared]) -> Iterator[tuple[Detection, ...]]:
        """What each picture shows, in order; boxes in pixels of the network's input.

        Raises:
            DetectorFailed: The network cannot go on.
            InputError: What it answers is not of its layout, or of a class without a name.
        """
        inputs = (item.pixels[None] if self._input.batched else item.pixels for item in pictures)
        try:
            for tensors in self._network.stream(inputs):
                yield self._named(self._layout.read(tensors))
        except RuntimeError as error:
            raise DetectorFailed(
                f"{self._path} failed ({_last_line(error)}).", "what it found is kept"
            ) from error

    def _named(self, found: Found) -> tuple[Detection, ...]:
        if found.labels.max(initial=0) >= len(self.class_names):
            raise InputError(
                f"{self._path} answers with class {found.labels.max()}, and there are names of "
                f"{len(self.class_names)} (from class 0).",
                "--detector-names FILE with a class a line",
            )
        rows = zip(found.boxes.tolist(), found.labels, found.scores.tolist(), strict=True)
        return tuple(
            Detection((x1, y1, x2, y2), self.class_names[label], score)
            for (x1, y1, x2, y2), label, score in rows
        )


def _input_of(model: Any, path: Path) -> _Input:
    if len(model.inputs) != 1 or model.inputs[0].partial_shape.rank.is_dynamic:
        raise _unusable(path, f"it has {len(model.inputs)} inputs instead of one picture")
    shape = model.inputs[0].partial_shape
    sides = [None if side.is_dynamic else side.get_length() for side in shape]
    batched = len(sides) == BATCHED
    if len(sides) not in (BATCHED - 1, BATCHED) or (batched and sides[0] not in (1, None)):
        raise _unusable(path, f"its input is {shape}, not one picture")
    first, *_, last = sides[-COLOURS:]
    colours_last = last == COLOURS and first != COLOURS
    if not colours_last and first not in (COLOURS, None):
        raise _unusable(path, f"its input is {shape}, not a picture of three colours")
    height, width = sides[-3:-1] if colours_last else sides[-2:]
    return _Input(
        width=width or SIDE, height=height or SIDE, batched=batched, colours_last=colours_last
    )


def _taking_pixels(model: Any, given: _Input) -> Any:
    """The network with its input of one size, made to take bytes [h, w, 3]."""
    import openvino
    from openvino.preprocess import PrePostProcessor

    model.reshape({model.inputs[0]: given.shape})
    batch = "N" if given.batched else ""
    steps = PrePostProcessor(model)
    pixels = steps.input()
    pixels.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout(f"{batch}HWC"))
    if model.inputs[0].element_type.is_real():
        pixels.preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    layout = f"{batch}HWC" if given.colours_last else f"{batch}CHW"
    pixels.model().set_layout(openvino.Layout(layout))
    return steps.build()


def _layout(model: Any, given: _Input, path: Path) -> Layout:
    outputs = [_output(item) for item in model.outputs]
    found = layout_of(outputs, (given.width, given.height))
    if found is None:
        told = "; ".join(map(str, outputs))
        raise _unusable(path, f"its outputs are of no known layout: {told}")
    return found


def _output(output: Any) -> Output:
    shape = output.partial_shape
    sides = () if shape.rank.is_dynamic else tuple(shape)
    return Output(
        name=" ".join(sorted(output.get_names())),
        shape=tuple(None if side.is_dynamic else side.get_length() for side in sides),
        whole=output.element_type.is_integral(),
    )


def _names_in(model: Any) -> tuple[str, ...]:
    """The names that ultralytics writes into a file, `{0: 'car', 1: 'bus'}`; none without them."""
    place = ["framework", "names"]
    if not model.has_rt_info(place):
        return ()
    try:
        told = ast.literal_eval(model.get_rt_info(place).astype(str))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return ()
    named = told if isinstance(told, dict) else dict(enumerate(told if _listed(told) else ()))
    return tuple(str(named[number]) for number in range(len(named)) if number in named)


def _listed(told: object) -> bool:
    return isinstance(told, list | tuple)


def _class_names(
    layout: Layout, path: Path, names: Path | None, taught: tuple[str, ...]
) -> tuple[str, ...]:
    source = names or path
    told = _names_of(names) if names else taught
    if any(not name.isprintable() for name in told):
        raise InputError(f"{source} has a class name that cannot be printed.", "mend the names")
    if told and layout.classes not in (None, len(told)):
        raise InputError(
            f"{source} names {plural(len(told), 'class')}, and {path.name} tells "
            f"{layout.classes} apart.",
            "--detector-names FILE with a class a line, that of number 0 first",
        )
    return told or tuple(f"class {number}" for number in range(layout.classes or UNNAMED))


def _names_of(path: Path) -> tuple[str, ...]:
    try:
        text = plain_bytes(path, MOST_NAMES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(
            f"{path} cannot be read as names of classes ({reason}).",
            "--detector-names FILE with a class a line",
        ) from error
    lines = text.rstrip().splitlines()
    if not lines:
        raise InputError(f"{path} names no class.", "--detector-names FILE with a class a line")
    return tuple(line.strip() for line in lines)


def _digest(path: Path, names: tuple[str, ...]) -> str:
    """Over the file, those that hold weights for it, the names, and all that we do with them."""
    files = [path, *_outside(path)]
    told = [RULES, [sha256_file(file) for file in files], names]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _outside(path: Path) -> list[Path]:
    data = path.read_bytes()
    found = {data[hit.end() : hit.end() + hit[1][0]] for hit in OUTSIDE.finditer(data)}
    files = [path.parent / os.fsdecode(name) for name in sorted(found)]
    return [file for file in files if file.is_file()]


def _unusable(path: Path, reason: str) -> InputError:
    return InputError(f"{path} cannot be used as a detector: {reason}.", KNOWN)


def _last_line(error: Exception) -> str:
    return "".join(str(error).strip().splitlines()[-1:])
