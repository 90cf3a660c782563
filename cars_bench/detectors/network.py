"""A network that OpenVINO runs on the CPU, with several pictures on their way at once."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cars_bench.errors import DetectorMissing, InputError
from cars_bench.in_order import in_order
from cars_bench.openvino_core import Requests, core

INSTALL = "pip install 'cars-bench[detector]'"
PRECISION = "f32"
"""Everywhere, so that a picture's boxes are the same on every machine."""


def read_network(path: Path) -> Any:
    """Read a network's file: ONNX, OpenVINO, or a frozen graph of TensorFlow.

    Raises:
        InputError: OpenVINO is not installed, or does not read the file.
    """
    if importlib.util.find_spec("openvino") is None:
        raise DetectorMissing("Detectors run on OpenVINO, which is not installed.", INSTALL)
    try:
        return core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1:]
        raise InputError(
            f"{path} is not a network that OpenVINO reads ({''.join(reason)}).",
            "give an .onnx file, or use --crop detector",
        ) from error


class Network:
    """A compiled network of one input.

    Args:
        model: As `read_network` gives it, its input of a fixed shape.
        outputs: Which of its outputs, by name or place, in the order of the answers.
    """

    def __init__(self, model: Any, outputs: Sequence[str | int]) -> None:
        self._requests = Requests(model, PRECISION, outputs)

    def stream(self, inputs: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
        """The outputs for each input, in order."""
        return in_order(map(self._requests.start, inputs), self._requests.most)
