"""What the extraction benchmarks share: a dataset of loose images, rounds, the closing line."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from PIL import Image

from cars_bench.data.dataset import BOX_COLUMNS, write_dataset
from cars_bench.workspace import Workspace

BACKBONES = ["resnet50", "resnet101", "efficientnet-lite0"]
SUFFIXES = {".jpg", ".jpeg", ".png"}


def parser(purpose: str) -> argparse.ArgumentParser:
    """The options that every extraction benchmark has."""
    options = argparse.ArgumentParser(description=purpose)
    options.add_argument("--images", type=Path, required=True, help="folder of image files")
    options.add_argument("--limit", type=int, default=300, help="how many of them")
    options.add_argument("--rounds", type=int, default=3, help="alternating rounds (median)")
    options.add_argument("--backbones", nargs="+", default=BACKBONES)
    options.add_argument("--weights", default="none", help="imagenet, none, or a file")
    options.add_argument("--size", type=int, default=224, help="side of the input in pixels")
    return options


def pictures(folder: Path, limit: int) -> list[Path]:
    """The first `limit` images of a folder, by name."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"no images in {folder}")
    return found[:limit]


def loose_dataset(workspace: Workspace, files: list[Path]) -> None:
    """Register files as the dataset `loose`, all of one class and in the train split."""
    rows = []
    for path in files:
        with Image.open(path) as image:
            width, height = image.size
        rows.append(
            {
                "image_id": path.name,
                "path": str(path.resolve()),
                "class_name": "image",
                "label": 0,
                "split": "train",
                **dict.fromkeys(BOX_COLUMNS, float("nan")),
                "width": width,
                "height": height,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
    write_dataset(workspace.datasets / "loose", pd.DataFrame(rows), {"crop": "none"})
    workspace.remember("dataset", name="loose")


def alternating(rounds: int, contenders: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Median images a second of each contender, one after the other in every round."""
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            measured[name].append(run())
            print(f"  {name}: {measured[name][-1]:.1f} images/s", flush=True)
    return {name: round(statistics.median(values), 2) for name, values in measured.items()}


def close(document: dict[str, object]) -> None:
    """Print the one JSON line at the end."""
    print(json.dumps({"cpus": os.cpu_count()} | document))
