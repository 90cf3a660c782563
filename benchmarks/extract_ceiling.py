"""Extraction against its own ceiling: the slower of decoding alone and the network alone.

On a GPU the two overlap, and `ratio` should come near 1.  On a CPU they share the
cores, so no pass can beat `shared_cores_ceiling` = 1 / (1 / decode + 1 / forward).

    python benchmarks/extract_ceiling.py --images photos/ --limit 300
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from extraction import alternating, close, loose_dataset, parser, pictures

from cars_bench.cache.decoding import decoder, image_batches
from cars_bench.cache.extract import run_pass
from cars_bench.cache.extraction import Extraction, prepare_extraction
from cars_bench.cache.options import ExtractOptions
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


def decode_only(extraction: Extraction) -> float:
    """Images a second of reading, decoding and resizing, without a network."""
    records = extraction.source.records["train"]
    started = time.perf_counter()
    with decoder(extraction.source) as threads:
        for _ in threads.pixels(image_batches(records, 0, extraction.options.batch_size)):
            pass
    return len(records) / (time.perf_counter() - started)


def forward_only(extraction: Extraction) -> float:
    """Images a second of the network on one batch that is ready."""
    size = extraction.options.batch_size
    records = extraction.source.records["train"][:size]
    with decoder(extraction.source) as threads:
        ((_, pixels),) = threads.pixels(image_batches(records, 0, size))
    rounds = max(1, len(extraction.source.records["train"]) // size)
    started = time.perf_counter()
    for _ in extraction.network.runner.stream((number, pixels) for number in range(rounds)):
        pass
    return rounds * len(pixels) / (time.perf_counter() - started)


def whole(workspace: Workspace, extraction: Extraction) -> float:
    """Images a second of the whole pass."""
    shutil.rmtree(workspace.features, ignore_errors=True)
    return run_pass(workspace, extraction, Progress()).images_per_second


def measure(workspace: Workspace, name: str, arguments: Any) -> dict[str, Any]:
    """One backbone's three rates and their ratios."""
    options = ExtractOptions(backbone=name, weights=arguments.weights, image_size=arguments.size)
    extraction = prepare_extraction(workspace, options, Progress())
    print(f"{name}: {extraction.network.why}", flush=True)
    rates = alternating(
        arguments.rounds,
        {
            "decode": lambda: decode_only(extraction),
            "forward": lambda: forward_only(extraction),
            "extract": lambda: whole(workspace, extraction),
        },
    )
    shared = 1 / (1 / rates["decode"] + 1 / rates["forward"])
    return rates | {
        "ratio": round(rates["extract"] / min(rates["decode"], rates["forward"]), 3),
        "shared_cores_ceiling": round(shared, 2),
        "ratio_to_shared_cores": round(rates["extract"] / shared, 3),
    }


def main() -> None:
    """Measure every backbone asked for."""
    arguments = parser(__doc__ or "").parse_args()
    files = pictures(arguments.images, arguments.limit)
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch))
        loose_dataset(workspace, files)
        found = {name: measure(workspace, name, arguments) for name in arguments.backbones}
    close({"benchmark": "extract_ceiling", "images": len(files), "backbones": found})


if __name__ == "__main__":
    main()
