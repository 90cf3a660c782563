"""A fine-tuning epoch against plain Keras `fit` of the same unfrozen layers on live images.

Both sides train the same layers of the same network with the same optimizer
and batch on the TensorFlow backend.  Theirs decodes and augments the images in
a tf.data pipeline and runs the whole network; ours draws one of K cached views
of the boundary activations and runs what lies above.  Each measurement is a
process of its own and the sides take turns, with TensorFlow as our commands start it and as it
comes; the figure is the median of the steady epochs.  What our cache costs once is told beside it.

    python benchmarks/finetune_vs_keras.py --backbones efficientnet-lite0 resnet50
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SIDES = ("ours", "theirs")
HEAD_CLASSES = 196
NAME = "bench"


def main() -> None:
    """Measure every backbone and print one JSON line."""
    arguments = _arguments()
    if arguments.side:
        print(json.dumps(_measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments.workspace = arguments.workspace or folder
        _prepare(arguments)
        found = {name: _compare(arguments, name) for name in arguments.backbones}
    print(json.dumps({"benchmark": "finetune_vs_keras", "batch": arguments.batch, **found}))


def _compare(arguments: argparse.Namespace, backbone: str) -> dict[str, Any]:
    """Sides in turn, `rounds` times; medians and their ratio."""
    epochs: dict[str, list[float]] = {side: [] for side in SIDES}
    once: list[float] = []
    for number in range(arguments.rounds):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            measured = _in_a_process(arguments, backbone, side)
            epochs[side] += measured["epochs"]
            once += [measured["once"]] if measured["once"] else []
            print(f"{backbone} {side}: {measured['epochs']}", file=sys.stderr)
    ours, theirs = (statistics.median(epochs[side]) for side in SIDES)
    return {
        "images": measured["images"],
        "ours_seconds_per_epoch": round(ours, 3),
        "keras_seconds_per_epoch": round(theirs, 3),
        "ratio": round(theirs / ours, 2),
        "cache_seconds_once": round(max(once), 1),
        "unfreeze": measured["unfreeze"],
        "trainable_parameters": measured["trainable_parameters"],
    }


def _in_a_process(arguments: argparse.Namespace, backbone: str, side: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--backbones", backbone]
    for name in ("workspace", "weights", "images", "epochs", "views", "batch", "size"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _prepare(arguments: argparse.Namespace) -> None:
    from cars_bench.data.demo import draw_demo
    from cars_bench.data.prepare import PrepareOptions, prepare
    from cars_bench.progress import Progress
    from cars_bench.workspace import Workspace

    workspace = Workspace(Path(arguments.workspace))
    labels = draw_demo(workspace.root / "source", 0, Progress(), arguments.images)
    prepare(workspace, PrepareOptions(source=labels.parent, name=NAME), Progress())


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One process: seconds of each steady epoch, the first one left out."""
    from cars_bench.keras_backend import set_tensorflow_defaults

    if arguments.side == "ours":
        set_tensorflow_defaults()
    from cars_bench.backbones.build import build_backbone
    from cars_bench.data.dataset import Dataset
    from cars_bench.finetune.assemble import Assembled
    from cars_bench.finetune.unfreeze import apply_unfreeze, parse_unfreeze
    from cars_bench.training.heads import build_head
    from cars_bench.training.specs import HeadSpec, TrainingSpec
    from cars_bench.workspace import Workspace

    workspace = Workspace(Path(arguments.workspace))
    backbone = build_backbone(arguments.backbones[0], arguments.weights, arguments.size)
    unfreeze = parse_unfreeze(None, backbone)
    apply_unfreeze(backbone, unfreeze)
    assembled = Assembled(
        backbone, "avg", build_head(HeadSpec(), (backbone.spec.width,), HEAD_CLASSES)
    )
    spec = TrainingSpec(
        learning_rate=1e-4,
        batch_size=arguments.batch,
        epochs=arguments.epochs + 1,
        patience_epochs=0,
    )
    dataset = Dataset.load(workspace, NAME)
    side = _ours if arguments.side == "ours" else _theirs
    seconds, once = side(workspace, dataset, assembled, unfreeze.boundary, spec, arguments)
    variables = assembled.whole().trainable_variables
    return {
        "epochs": [round(value, 4) for value in seconds[1:]],
        "once": once,
        "images": len(dataset.records("train")),
        "unfreeze": unfreeze.text,
        "trainable_parameters": sum(int(item.value.numpy().size) for item in variables),
    }


def _ours(
    workspace: Any, dataset: Any, assembled: Any, boundary: str, spec: Any, arguments: Any
) -> tuple[list[float], float]:
    """Our loop on cached boundary activations."""
    from cars_bench.cache.extract import extract
    from cars_bench.cache.options import ExtractOptions
    from cars_bench.cache.store import FeatureCache
    from cars_bench.progress import Progress
    from cars_bench.training.engine import Examples
    from cars_bench.training.loop import train
    from cars_bench.training.products import with_products

    options = ExtractOptions(
        dataset=NAME,
        backbone=arguments.backbones[0],
        weights=arguments.weights,
        image_size=arguments.size,
        boundary=boundary,
        views=arguments.views,
    )
    begun = time.perf_counter()
    result = extract(workspace, options, Progress())
    once = time.perf_counter() - begun if result.written else 0.0
    features = FeatureCache.open(workspace, result.key).load("train")
    examples = Examples(features.x, features.labels)
    model = with_products(assembled.above(boundary))
    position = train(model, spec, examples, None, seed=0)
    return [row.seconds for row in position.history], once


def _theirs(
    workspace: Any, dataset: Any, assembled: Any, boundary: str, spec: Any, arguments: Any
) -> tuple[list[float], float]:
    """`fit` as the Keras guide on transfer learning writes it."""
    import keras
    import tensorflow as tf

    records = dataset.records("train")
    augmentation = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(0.025),
            keras.layers.RandomZoom((-0.25, 0.0)),
        ]
    )

    def pixels(path: Any, label: Any) -> tuple[Any, Any]:
        image = tf.io.decode_jpeg(tf.io.read_file(path), 3)
        return tf.image.resize(image, (arguments.size, arguments.size)), label

    source = (
        tf.data.Dataset.from_tensor_slices(
            ([str(record.path) for record in records], [record.label for record in records])
        )
        .shuffle(len(records), seed=0)
        .map(pixels, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(spec.batch_size)
        .map(lambda x, y: (augmentation(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    model = assembled.whole()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(spec.learning_rate), loss)
    seconds: list[float] = []
    for _ in range(spec.epochs):
        begun = time.perf_counter()
        model.fit(source, verbose=0)
        seconds.append(time.perf_counter() - begun)
    return seconds, 0.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", default=["efficientnet-lite0", "resnet50"])
    parser.add_argument("--weights", default="none", help="the speed does not depend on them")
    parser.add_argument("--images", type=int, default=600, help="drawn; 65%% of them train")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="steady epochs a process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workspace", help="where to work (default: a temporary folder)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
