"""The formats that a finished model can be handed on in: one table, `FORMATS`.

A row says how its file is written and how it is asked again.  Whatever the
format, the model in it takes pixels 0 to 255 and gives probabilities: the
preprocessing is inside.  The packages that a row needs are imported when it
is used, and so is Keras.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from cars_bench.atomic import atomic_path
from cars_bench.errors import InputError, UsageError

if TYPE_CHECKING:
    import keras

FormatName = Literal["keras", "saved_model", "onnx", "tflite"]
Quantization = Literal["int8"]
Floats = npt.NDArray[np.float32]

Answer = Callable[[Floats], dict[str, Floats]]
"""From pixels of one image, float32 `[1, S, S, 3]`, 0 to 255, to `probabilities` `[1, C]`.

A model with a box gives `box` `[1, 4]` too, as shares of the picture's sides.
"""

PIXELS = "pixels"
ONE = "one"


@dataclass(frozen=True)
class Exportable:
    """A model to hand on.

    Attributes:
        model: From pixels float32 `[B, S, S, 3]`, 0 to 255, to probabilities `[B, C]`, and
            to a box where it tells one, as `Assembled.finished` gives it.
        class_names: Index is the label.
        image_size: S in pixels.
    """

    model: keras.Model
    class_names: Sequence[str]
    image_size: int


Write = Callable[[Exportable, Path, Floats | None], None]
"""Writes the model to a path; 8 bits calibrated on images `[N, S, S, 3]` where there are any."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way to hand a model on.

    Attributes:
        title: What people call it.
        suffix: Of its file's name; empty where it is a folder.
        write: Writes it.
        open: Opens what was written, to ask it about one image at a time.
        quantizes: Whether 8 bits can be written.
        packages: Modules of the extra `export` that it needs, as they are imported.
    """

    title: str
    suffix: str
    write: Write
    open: Callable[[Path, int], Answer]
    quantizes: bool = False
    packages: tuple[str, ...] = ()

    def require(self, quantize: Quantization | None) -> None:
        """Refuse what cannot be written here.

        Raises:
            UsageError: It has no 8 bits.
            InputError: A package is not installed.
        """
        if quantize and not self.quantizes:
            able = " or ".join(name for name, item in FORMATS.items() if item.quantizes)
            raise UsageError(f"{self.title} is written in floats only.", f"--format {able}")
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            names = " and ".join(name.replace("_", "-") for name in missing)
            raise InputError(
                f"{self.title} needs {names}, which {'is' if len(missing) == 1 else 'are'} "
                "not installed here.",
                "pip install 'cars-bench[export]'",
            )


def _write_keras(source: Exportable, path: Path, images: Floats | None) -> None:
    with atomic_path(path) as temporary:
        source.model.save(temporary)


def _open_keras(path: Path, threads: int) -> Answer:
    import keras

    from cars_bench.training.answers import named_outputs

    model = keras.models.load_model(path, compile=False)
    return lambda pixels: named_outputs(model.predict_on_batch(pixels))


def _write_saved_model(source: Exportable, path: Path, images: Floats | None) -> None:
    from cars_bench.finetune.saved_model import export_saved_model

    export_saved_model(path, source.model, list(source.class_names), source.image_size)


def _open_saved_model(path: Path, threads: int) -> Answer:
    import tensorflow as tf

    served = tf.saved_model.load(str(path))

    def answer(pixels: Floats) -> dict[str, Floats]:
        said = served.signatures[PIXELS](pixels=tf.constant(pixels))
        return {name: np.asarray(value) for name, value in said.items()}

    return answer


def _write_tflite(source: Exportable, path: Path, images: Floats | None) -> None:
    import keras
    import tensorflow as tf

    kinds = tf.lite.OpsSet
    settings: dict[str, Any] = {"target_spec": {"supported_ops": [kinds.TFLITE_BUILTINS]}}
    if images is not None:
        # Whole numbers all through; only pixels and probabilities are floats.
        settings = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([image[None]] for image in images),
            "target_spec": {"supported_ops": [kinds.TFLITE_BUILTINS_INT8]},
        }
    shape = (1, *source.model.input_shape[1:])
    signature = [keras.InputSpec(shape=shape, dtype="float32", name=PIXELS)]
    with atomic_path(path) as temporary:
        source.model.export(
            str(temporary), format="litert", verbose=False, input_signature=signature, **settings
        )


def _open_tflite(path: Path, threads: int) -> Answer:
    from ai_edge_litert.interpreter import Interpreter

    from cars_bench.training.answers import PROBABILITIES

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    asked = interpreter.get_signature_runner()
    (taken,) = asked.get_input_details()

    def answer(pixels: Floats) -> dict[str, Floats]:
        said = {name: np.array(value) for name, value in asked(**{taken: pixels}).items()}
        # A model's only output goes by a name of Keras' own.
        return said if len(said) > 1 else dict(zip([PROBABILITIES], said.values(), strict=True))

    return answer


def _write_onnx(source: Exportable, path: Path, images: Floats | None) -> None:
    with atomic_path(path) as temporary:
        _write_float_onnx(source, temporary)
        if images is not None:
            _quantize_onnx(temporary, images)


def _write_float_onnx(source: Exportable, path: Path) -> None:
    import onnx

    _hold_constants(source.model)
    source.model(np.zeros((1, *source.model.input_shape[1:]), np.float32))  # Keras asks for it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for numpy's old `object`
        source.model.export(str(path), format="onnx", verbose=False)
    written = onnx.load(path)
    _spell_out_erfc(written.graph)
    _name_ends(written.graph)
    onnx.helper.set_model_props(written, {"class_names": json.dumps(list(source.class_names))})
    onnx.save(written, path)


def _hold_constants(model: keras.Model) -> None:
    """Have mean and variance of a Normalization be written as constants, not as inputs.

    Keras computes with copies that are tensors, which a trace takes for something given.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.mean = keras.ops.convert_to_numpy(layer.mean)
            layer.variance = keras.ops.convert_to_numpy(layer.variance)


def _spell_out_erfc(graph: Any) -> None:
    """Write TensorFlow's Erfc, which exact GELU uses and ONNX does not have, as 1 - Erf."""
    from onnx import helper, numpy_helper

    if all(node.op_type != "Erfc" for node in graph.node):
        return
    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        erf = f"{node.output[0]}_erf"
        nodes.append(helper.make_node("Erf", node.input, [erf]))
        nodes.append(helper.make_node("Sub", [ONE, erf], node.output))
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), ONE))
    del graph.node[:]
    graph.node.extend(nodes)


def _name_ends(graph: Any) -> None:
    """Call input and output, and their first axis, by plain names."""
    from cars_bench.training.answers import PROBABILITIES

    names = {graph.input[0].name: PIXELS}
    if len(graph.output) == 1:  # of several, each has its own name already
        names[graph.output[0].name] = PROBABILITIES
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for end in (*graph.input, *graph.output):
        end.name = names.get(end.name, end.name)
        end.type.tensor_type.shape.dim[0].dim_param = "N"


class _Calibration:
    """Images one by one, as onnxruntime asks for them."""

    def __init__(self, images: Floats) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Floats] | None:
        """The next input by name; `None` after the last."""
        image = next(self._left, None)
        return None if image is None else {PIXELS: image[None]}


def _quantize_onnx(path: Path, images: Floats) -> None:
    """Turn the file into 8 bits: QDQ, signed, weights scaled channel by channel."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder, "ready.onnx")
        quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(path),
            _Calibration(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )


def _open_onnx(path: Path, threads: int) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        os.fspath(path), options, providers=["CPUExecutionProvider"]
    )
    names = [item.name for item in session.get_outputs()]

    def answer(pixels: Floats) -> dict[str, Floats]:
        said = session.run(names, {PIXELS: pixels})
        return {name: np.asarray(value) for name, value in zip(names, said, strict=True)}

    return answer


FORMATS: dict[FormatName, Format] = {
    "keras": Format(title="Keras", suffix=".keras", write=_write_keras, open=_open_keras),
    "saved_model": Format(
        title="SavedModel", suffix="", write=_write_saved_model, open=_open_saved_model
    ),
    "onnx": Format(
        title="ONNX",
        suffix=".onnx",
        write=_write_onnx,
        open=_open_onnx,
        quantizes=True,
        packages=("onnx", "tf2onnx", "onnxruntime"),
    ),
    "tflite": Format(
        title="TFLite",
        suffix=".tflite",
        write=_write_tflite,
        open=_open_tflite,
        quantizes=True,
        packages=("ai_edge_litert",),
    ),
}
