"""OpenVINO on the CPU: one core for the whole process, kept to its end, and networks on it.

Each core gives the thread a stack for signals while it makes its CPU plugin, and takes it
away when it goes.  Two that go in the order in which they came leave the thread with one
that is freed, and the next Ctrl-C ends in a segmentation fault.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


@functools.cache
def core() -> Any:
    """The one core, made at the first call."""
    import openvino

    return openvino.Core()


class Requests:
    """A network compiled for the CPU, and its requests, which take turns.

    Several are on their way at once, each on a few cores, which do not wait for one
    another after every layer; one more stands ready.

    Args:
        model: A network of one input of a fixed shape.
        precision: That it computes in: `f32` or `bf16`.
        outputs: Which of its outputs, by name or place, in the order of the answers.

    Attributes:
        most: How many may be begun before the result of the first is taken.
    """

    def __init__(self, model: Any, precision: str, outputs: Sequence[str | int] = (0,)) -> None:
        settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
        compiled = core().compile_model(model, "CPU", settings)
        self.most: int = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1
        self._outputs = [compiled.output(key) for key in outputs]
        self._turns = deque(compiled.create_infer_request() for _ in range(self.most))

    def start(self, value: np.ndarray) -> Callable[[], tuple[np.ndarray, ...]]:
        """Begin with an input; the function that is returned waits for the outputs."""
        request = self._turns[0]
        self._turns.rotate(-1)
        request.wait()  # where nobody took its last result
        request.start_async([value], share_inputs=True)

        def wait() -> tuple[np.ndarray, ...]:
            request.wait()
            return tuple(np.array(request.get_tensor(output).data) for output in self._outputs)

        return wait
