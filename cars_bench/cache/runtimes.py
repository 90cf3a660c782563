"""What runs the frozen network: TensorFlow, or OpenVINO on a CPU.

Both take any number of images and run them at one fixed batch size; the last
batch is padded.  So the network is traced and compiled once, and neither a
record's neighbours nor the caller's batches change its features.
"""

from __future__ import annotations

import functools
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import keras
import numpy as np

from cars_bench.errors import UsageError
from cars_bench.in_order import in_order
from cars_bench.openvino_core import Requests, core

RUNTIMES = ("openvino", "tensorflow")
FULL = "float32"
HALF = "bfloat16"
MIXED = "mixed_float16"
_OPENVINO_TYPES = {FULL: "f32", HALF: "bf16"}
T = TypeVar("T")

# A CPU is as fast with few images at a time, and with a fixed number of them a record
# comes out the same, to the last bit, whatever --batch-size says.
CPU_BATCH_SIZE = 16


class Runner(ABC):
    """A compiled frozen network.

    Attributes:
        name: `tensorflow` or `openvino`.
        precision: What it computes in.
        batch_size: Images of one call of the network.
        in_flight: Batches that it works on at the same time.
    """

    name: str
    in_flight = 1

    def __init__(self, precision: str, batch_size: int) -> None:
        self.precision = precision
        self.batch_size = batch_size

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Features of any number of images.

        Args:
            pixels: uint8 [n, S, S, 3], n at least 1.

        Returns:
            float32 [n, *shape].
        """
        return next(self.stream([(None, pixels)]))[1]

    def stream(self, batches: Iterable[tuple[T, np.ndarray]]) -> Iterator[tuple[T, np.ndarray]]:
        """Features of many batches, in order.

        Args:
            batches: Anything, and with it uint8 [n, S, S, 3], n at least 1.

        Yields:
            The same thing, and float32 [n, *shape].
        """
        parts = []
        for (item, is_last), features in self._flow(self._cut(batches)):
            parts.append(features)
            if is_last:
                yield item, np.concatenate(parts)
                parts = []

    def _cut(
        self, batches: Iterable[tuple[T, np.ndarray]]
    ) -> Iterator[tuple[tuple[T, bool], np.ndarray]]:
        """Batches of at most `batch_size`, each told whether it ends one of the caller's."""
        for item, pixels in batches:
            for start in range(0, len(pixels), self.batch_size):
                stop = start + self.batch_size
                yield (item, stop >= len(pixels)), pixels[start:stop]

    def _flow(self, batches: Iterable[tuple[T, np.ndarray]]) -> Iterator[tuple[T, np.ndarray]]:
        """Batches through the network, `in_flight` of them at a time."""
        begun = (
            functools.partial(_landed, item, len(pixels), self._start(self._padded(pixels)))
            for item, pixels in batches
        )
        return in_order(begun, self.in_flight)

    def _padded(self, pixels: np.ndarray) -> np.ndarray:
        short = self.batch_size - len(pixels)
        if short <= 0:
            return pixels
        return np.concatenate([pixels, np.zeros((short, *pixels.shape[1:]), np.uint8)])

    @abstractmethod
    def _start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin a full batch; the function that is returned waits for its features."""


def _landed(item: T, count: int, wait: Callable[[], np.ndarray]) -> tuple[T, np.ndarray]:
    return item, wait()[:count].astype(np.float32, copy=False)


class TensorFlowRunner(Runner):
    """The network as one `tf.function`."""

    name = "tensorflow"

    def __init__(self, network: keras.Model, batch_size: int, precision: str) -> None:
        super().__init__(precision, batch_size)
        self._function = _traced(network, batch_size)

    def _start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        import tensorflow as tf

        features = self._function(tf.constant(pixels))
        return lambda: np.asarray(features.numpy())


class OpenVinoRunner(Runner):
    """The network converted from its `tf.function` and compiled for the CPU."""

    name = "openvino"

    def __init__(self, network: keras.Model, batch_size: int, precision: str) -> None:
        import openvino

        super().__init__(precision, batch_size)
        converted = openvino.convert_model(_traced(network, batch_size))
        self._requests = Requests(converted, _OPENVINO_TYPES[precision])
        self.in_flight = self._requests.most

    def _start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        wait = self._requests.start(pixels)
        return lambda: wait()[0]


def gpu_present() -> bool:
    """Whether TensorFlow sees a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def precision_of(runtime: str) -> str:
    """What the runtime computes in on this machine.

    Raises:
        UsageError: The runtime is not known or not installed.
    """
    if runtime == "tensorflow":
        return MIXED if gpu_present() else FULL
    if runtime not in RUNTIMES:
        raise UsageError(
            f"There is no runtime {runtime!r}.", f"--runtime auto|{'|'.join(RUNTIMES)}"
        )
    if not installed(runtime):
        raise UsageError(
            "OpenVINO is not installed.",
            "pip install 'cars-bench[openvino]', or --runtime tensorflow",
        )
    capabilities = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return HALF if "BF16" in capabilities else FULL


def installed(runtime: str) -> bool:
    """Whether the runtime's package is there."""
    return importlib.util.find_spec(runtime) is not None


def network_batch_size(batch_size: int) -> int:
    """Images of one call of the network on this machine, where `--batch-size` says so many."""
    return batch_size if gpu_present() else CPU_BATCH_SIZE


def make_runner(runtime: str, network: keras.Model, batch_size: int, precision: str) -> Runner:
    """Compile the network for a runtime and precision as `precision_of` gives them."""
    kind = OpenVinoRunner if runtime == "openvino" else TensorFlowRunner
    return kind(network, batch_size, precision)


def _traced(network: keras.Model, batch_size: int) -> Any:
    """The network on uint8 pixels at one batch size, as a concrete function."""
    import tensorflow as tf

    def run(pixels: Any) -> Any:
        return tf.cast(network(tf.cast(pixels, tf.float32), training=False), tf.float32)

    shape = (batch_size, *network.input_shape[1:])
    return tf.function(run).get_concrete_function(tf.TensorSpec(shape, tf.uint8))
