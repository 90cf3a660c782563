"""Extraction against `image_dataset_from_directory` + `model.predict` on the same files.

Both sides run the same Keras network with the same weights; ours is the whole
pass, shards on disk included.  Batch sizes are tuned for both beforehand.

    python benchmarks/extract_vs_keras.py --images photos/ --limit 300
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from extraction import alternating, close, loose_dataset, parser, pictures

from cars_bench.cache.extract import run_pass
from cars_bench.cache.extraction import Extraction, prepare_extraction
from cars_bench.cache.network import load_backbone, network_of
from cars_bench.cache.options import ExtractOptions
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace

BATCH_SIZES = (16, 32, 64)
TUNING_IMAGES = 64
TUNING_ROUNDS = 2


def ours(workspace: Workspace, extraction: Extraction) -> float:
    """Images a second of one whole pass."""
    shutil.rmtree(workspace.features, ignore_errors=True)
    return run_pass(workspace, extraction, Progress()).images_per_second


def theirs(folder: Path, network: keras.Model, size: int, batch_size: int, limit: int) -> float:
    """Images a second of the usual way."""
    images = keras.utils.image_dataset_from_directory(
        folder,
        labels=None,
        image_size=(size, size),
        batch_size=batch_size,
        shuffle=False,
        verbose=0,
    ).take(-(-limit // batch_size))
    started = time.perf_counter()
    features = network.predict(images, verbose=0)
    return float(len(features) / (time.perf_counter() - started))


def network_only(extraction: Extraction, count: int) -> float:
    """Images a second of our network without decoding."""
    size = extraction.options.image_size
    pixels = np.zeros((count, size, size, 3), np.uint8)
    started = time.perf_counter()
    extraction.network.runner(pixels)
    return count / (time.perf_counter() - started)


def fastest(rate: Callable[[int], float]) -> int:
    """The batch size with the highest median rate; a first round, which compiles, is left out."""
    rounds = [[rate(batch) for batch in BATCH_SIZES] for _ in range(1 + TUNING_ROUNDS)]
    medians = np.median(rounds[1:], axis=0)
    return BATCH_SIZES[int(medians.argmax())]


def compare(workspace: Workspace, folder: Path, name: str, arguments: Any) -> dict[str, Any]:
    """Tune both sides, then measure them in alternating rounds."""
    backbone = load_backbone(name, arguments.weights, arguments.size)
    network = network_of(backbone, "avg", None)
    size = arguments.size
    few = min(arguments.limit, TUNING_IMAGES)
    extractions = {
        batch: prepare_extraction(
            workspace,
            ExtractOptions(
                backbone=name, weights=arguments.weights, image_size=size, batch_size=batch
            ),
            Progress(),
        )
        for batch in BATCH_SIZES
    }
    best = fastest(lambda batch: network_only(extractions[batch], few))
    tuned = fastest(lambda batch: theirs(folder, network, size, batch, few))
    print(
        f"{name}: batch {best} ({extractions[best].network.why}) against batch {tuned}", flush=True
    )
    rates = alternating(
        arguments.rounds,
        {
            "cars-bench": lambda: ours(workspace, extractions[best]),
            "keras": lambda: theirs(folder, network, size, tuned, arguments.limit),
        },
    )
    chosen = extractions[best].network
    return rates | {
        "ratio": round(rates["cars-bench"] / rates["keras"], 2),
        "runtime": chosen.runner.name,
        "precision": chosen.runner.precision,
        "smallest_cosine": chosen.agreement.smallest_cosine,
        "batch_sizes": [best, tuned],
    }


def main() -> None:
    """Measure every backbone asked for."""
    arguments = parser(__doc__ or "").parse_args()
    files = pictures(arguments.images, arguments.limit)
    arguments.limit = len(files)
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch) / "workspace")
        folder = Path(scratch) / "images"
        folder.mkdir()
        for path in files:
            (folder / path.name).symlink_to(path.resolve())
        loose_dataset(workspace, files)
        found = {name: compare(workspace, folder, name, arguments) for name in arguments.backbones}
    close({"benchmark": "extract_vs_keras", "images": len(files), "backbones": found})


if __name__ == "__main__":
    main()
