"""Milliseconds an image of a fine-tuning step against what its multiply-adds alone would take.

The floor is three times the forward multiply-adds (forward, gradient by input, gradient by
weights) at the rate of a large float32 matrix product, measured in the same process.  The step
is that of our own model and engine on the TensorFlow backend, on made-up boundary activations.
Each kind of layer is timed alone, on inputs of its own shape: forward, and what its gradients
add.  What a step takes beyond their sum is the rest: losses, optimizer, sums, calls.  Every
figure is the median of several calls, after one that compiles.

    python benchmarks/finetune_floor.py
    python benchmarks/finetune_floor.py --backbones efficientnet-lite0 --batch 64
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as our commands do

import keras
import numpy as np
import tensorflow as tf

from cars_bench.backbones.build import build_backbone
from cars_bench.finetune.assemble import Assembled
from cars_bench.finetune.cost import step_seconds
from cars_bench.finetune.speed import machine, median_seconds
from cars_bench.finetune.unfreeze import Unfreeze, apply_unfreeze, parse_unfreeze
from cars_bench.training.engine import Examples, build_engine
from cars_bench.training.heads import build_head
from cars_bench.training.loop import compile_model
from cars_bench.training.products import DepthwiseProduct, PointwiseProduct, with_products
from cars_bench.training.specs import HeadSpec, TrainingSpec

SIZES = {"efficientnet-lite0": 288, "resnet50": 224}
"""Pixels that a backbone is asked about unless told otherwise."""
CLASSES = 196
PRODUCT = 2048  # rows, columns and depth of the product that gives the rate
MILLI = 1000
PASSES = 3
WITH_PRODUCTS = (keras.layers.Dense, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
PRODUCTS = (PointwiseProduct, DepthwiseProduct)
KINDS = (
    (PointwiseProduct, "1x1 products"),
    ((keras.layers.DepthwiseConv2D, DepthwiseProduct), "depthwise"),
    (keras.layers.BatchNormalization, "batch norm"),
    ((keras.layers.Activation, keras.layers.ReLU), "activation"),
    (keras.layers.Conv2D, "other convolutions"),
)


def main() -> None:
    """Measure every backbone and print one JSON line."""
    arguments = _arguments()
    rate = sgemm_rate(arguments.product)
    found = {}
    for name in arguments.backbones:
        size = arguments.size or SIZES.get(name, 224)
        found[name] = measured(name, size, arguments.batch, rate)
        print(f"{name}: {found[name]}", file=sys.stderr)
    document = {
        "benchmark": "finetune_floor",
        "machine": machine(len(keras.distribution.list_devices("gpu"))),
        "batch": arguments.batch,
        "sgemm_gflops": round(rate / 1e9, 1),
        **found,
    }
    print(json.dumps(document, allow_nan=False))


def sgemm_rate(side: int = PRODUCT) -> float:
    """Floating point operations a second of a float32 matrix product of TensorFlow's."""
    one, other = (tf.random.stateless_normal((side, side), (0, seed)) for seed in (0, 1))
    product = tf.function(lambda: tf.matmul(one, other))
    return 2 * side**3 / median_seconds(lambda: product().numpy())


def measured(name: str, size: int, batch: int, rate: float) -> dict[str, Any]:
    """One backbone's step against its floor, in milliseconds an image.

    Args:
        name: Of the catalogue.
        size: Side of its pictures, in pixels; what is trained begins at its default block.
        batch: Images a step.
        rate: Operations a second of a matrix product.
    """
    model, unfreeze = top_model(name, size)
    work = sum(multiply_adds(layer) for layer in model.layers)
    floor = MILLI * PASSES * 2 * work / rate
    kinds = split(model, batch)
    step = MILLI * engine_seconds(model, batch) / batch
    told = sum(value for parts in kinds.values() for value in parts.values())
    return {
        "unfreeze": unfreeze.text,
        "boundary": list(model.input.shape[1:]),
        "forward_million_multiply_adds": round(work / 1e6, 2),
        "floor_ms": round(floor, 3),
        "step_ms": round(step, 3),
        "ratio": round(step / floor, 2),
        "kinds_ms": {
            kind: {part: round(value, 3) for part, value in parts.items()}
            for kind, parts in kinds.items()
        },
        "rest_ms": round(step - told, 3),
    }


def top_model(name: str, size: int) -> tuple[keras.Model, Unfreeze]:
    """What is trained of a backbone by default, as our engine trains it, and what that is."""
    backbone = build_backbone(name, "none", size)
    unfreeze = parse_unfreeze(None, backbone)
    apply_unfreeze(backbone, unfreeze)
    head = build_head(HeadSpec(), (backbone.spec.width,), CLASSES)
    top = Assembled(backbone, "avg", head).above(str(unfreeze.boundary))
    return with_products(top), unfreeze


def kind_of(layer: keras.layers.Layer) -> str | None:
    """The name of a layer's kind; `None` is part of the rest."""
    return next((name for kinds, name in KINDS if isinstance(layer, kinds)), None)


def multiply_adds(layer: keras.layers.Layer) -> int:
    """Of one image on the way forward; of layers without a product none."""
    if isinstance(layer, keras.Model):
        return sum(multiply_adds(inner) for inner in layer.layers)
    owner = layer.convolution if isinstance(layer, PRODUCTS) else layer
    if not isinstance(owner, WITH_PRODUCTS):
        return 0
    places = math.prod(layer.output.shape[1:-1])
    return places * math.prod(owner.kernel.shape)


def split(model: keras.Model, batch: int) -> dict[str, dict[str, float]]:
    """Milliseconds an image, forward and backward, of each kind of layer.

    Layers that do the same are timed once.
    """
    told = [layer for layer in model.layers if kind_of(layer)]
    alike = Counter(map(_work_of, told))
    one_of = {_work_of(layer): layer for layer in told}
    found: dict[str, dict[str, float]] = {}
    for work, count in alike.items():
        parts = found.setdefault(work[0], {"forward": 0.0, "backward": 0.0})
        seconds = layer_seconds(one_of[work], batch)
        for part, value in zip(parts, seconds, strict=True):
            parts[part] += MILLI * count * value / batch
    return found


def _work_of(layer: keras.layers.Layer) -> tuple[Any, ...]:
    """What two layers share that take equally long, their kind first."""
    weights = [tuple(variable.shape) for variable in layer.trainable_variables]
    strides = getattr(layer, "strides", None)
    return kind_of(layer), layer.input.shape, layer.output.shape, strides, tuple(weights)


def layer_seconds(layer: keras.layers.Layer, batch: int) -> tuple[float, float]:
    """Of a batch forward, and of what the gradients by input and weights add."""
    x = tf.random.stateless_normal((batch, *layer.input.shape[1:]), (0, 0))
    slope = tf.random.stateless_normal((batch, *layer.output.shape[1:]), (0, 1))
    weights = [variable.value for variable in layer.trainable_variables]

    @tf.function
    def forward(x: Any) -> Any:
        return layer(x)

    @tf.function
    def both(x: Any, slope: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, [x, *weights], slope)

    once = median_seconds(lambda: _waited(forward(x)))
    all_of_it = median_seconds(lambda: _waited(both(x, slope)))
    return once, max(0.0, all_of_it - once)


def _waited(outputs: Any) -> list[Any]:
    """The outputs once they are there, on a device too."""
    return [item.numpy() for item in tf.nest.flatten(outputs)]


def engine_seconds(model: keras.Model, batch: int) -> float:
    """Of one training step of our engine."""
    spec = TrainingSpec(learning_rate=1e-4, batch_size=batch)
    compile_model(model, spec)
    x = np.random.default_rng(0).random((batch, 1, *model.input.shape[1:]), np.float32)
    examples = Examples(x.astype(np.float16), np.arange(batch) % CLASSES)
    return step_seconds(build_engine(model, examples), spec)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=list(SIZES))
    parser.add_argument("--size", type=int, help=f"pixels (default: {SIZES})")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--product", type=int, default=PRODUCT, help="side of the timed product")
    return parser.parse_args()


if __name__ == "__main__":
    main()
