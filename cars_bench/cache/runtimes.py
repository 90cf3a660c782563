"""What runs the frozen network: TensorFlow, or OpenVINO on a CPU.

Both take uint8 pixels and give float32 features at one fixed batch size; a
smaller batch is padded, so that the network is traced and compiled once and a
record's neighbours do not change its shape.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np

from cars_bench.backbones.build import Backbone, build_backbone
from cars_bench.backbones.pooling import pooled
from cars_bench.errors import UsageError

RUNTIMES = ("openvino", "tensorflow")
FULL, HALF, MIXED = "float32", "bfloat16", "mixed_float16"
_OPENVINO_TYPES = {FULL: "f32", HALF: "bf16"}


class Runner(ABC):
    """A compiled frozen network.

    Attributes:
        name: `tensorflow` or `openvino`.
        precision: What it computes in.
        batch_size: Images of one call.
    """

    name: str

    def __init__(self, precision: str, batch_size: int) -> None:
        self.precision, self.batch_size = precision, batch_size

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Features of a batch.

        Args:
            pixels: uint8 [n, S, S, 3], n at most `batch_size`.

        Returns:
            float32 [n, *shape].
        """
        count = len(pixels)
        if count < self.batch_size:
            padding = np.zeros((self.batch_size - count, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, padding])
        return self._run(pixels)[:count].astype(np.float32, copy=False)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Like a call, for any number of images: float32 [n, *shape]."""
        starts = range(0, len(pixels), self.batch_size)
        return np.concatenate([self(pixels[start : start + self.batch_size]) for start in starts])

    @abstractmethod
    def _run(self, pixels: np.ndarray) -> np.ndarray: ...


class TensorFlowRunner(Runner):
    """The network as one `tf.function`."""

    name = "tensorflow"

    def __init__(self, network: keras.Model, batch_size: int, precision: str) -> None:
        super().__init__(precision, batch_size)
        self._function = _traced(network, batch_size)

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        result: np.ndarray = self._function(tf.constant(pixels)).numpy()
        return result


class OpenVinoRunner(Runner):
    """The network converted from its `tf.function` and compiled for the CPU."""

    name = "openvino"

    def __init__(self, network: keras.Model, batch_size: int, precision: str) -> None:
        import openvino

        super().__init__(precision, batch_size)
        converted = openvino.convert_model(_traced(network, batch_size))
        settings = {
            "INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = openvino.Core().compile_model(converted, "CPU", settings)
        self._request = self._compiled.create_infer_request()

    def _run(self, pixels: np.ndarray) -> np.ndarray:
        self._request.infer([pixels], share_inputs=True)
        return np.array(self._request.get_output_tensor().data)


def network_of(backbone: Backbone, pooling: str, boundary: str | None) -> keras.Model:
    """Pixels to what is stored: pooled features [B, D], or the activation that ends `boundary`."""
    if boundary is not None:
        return backbone.trunk(boundary)
    return keras.Model(
        backbone.model.input, pooled(backbone.model.output, pooling), name="features"
    )


def load_backbone(name: str, weights: str, image_size: int) -> Backbone:
    """Build the backbone in the precision this machine extracts with.

    On a GPU that is mixed precision, which must be chosen before the layers are made.
    """
    if not gpu_present():
        return build_backbone(name, weights, image_size)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(MIXED)
    try:
        return build_backbone(name, weights, image_size)
    finally:
        keras.config.set_dtype_policy(before)


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
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return HALF if "BF16" in capabilities else FULL


def installed(runtime: str) -> bool:
    """Whether the runtime's package is there."""
    return importlib.util.find_spec(runtime) is not None


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
