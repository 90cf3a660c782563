"""A network that OpenVINO runs on the CPU, with several pictures on their way at once."""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cars_bench.errors import DetectorMissing, InputError
from cars_bench.openvino_core import core

INSTALL = "pip install 'cars-bench[detector]'"
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
"""float32 everywhere, so that a picture's boxes are the same on every machine."""


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
        compiled = core().compile_model(model, "CPU", SETTINGS)
        self._outputs = [compiled.output(key) for key in outputs]
        self._in_flight = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1
        self._idle = [compiled.create_infer_request() for _ in range(self._in_flight)]

    def stream(self, inputs: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
        """The outputs for each input, in order."""
        flying: deque[Any] = deque()
        try:
            for value in inputs:
                if len(flying) == self._in_flight:
                    yield self._landed(flying.popleft())
                request = self._idle.pop()
                request.start_async([value])
                flying.append(request)
            while flying:
                yield self._landed(flying.popleft())
        finally:
            for request in flying:
                request.wait()
                self._idle.append(request)

    def _landed(self, request: Any) -> tuple[np.ndarray, ...]:
        request.wait()
        found = tuple(np.array(request.get_tensor(output).data) for output in self._outputs)
        self._idle.append(request)
        return found
