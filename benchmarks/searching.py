"""What the search benchmarks share: made-up features, or a real cache beside a workspace."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cars_bench.cache.shards import PlannedShard
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.testing import MadeUpCache, batch_of_dataset
from cars_bench.data.card import CardSource
from cars_bench.data.dataset import BOX_COLUMNS, Dataset, write_dataset
from cars_bench.data.prepare import make_card
from cars_bench.data.problems import Problems
from cars_bench.tuning.ledger import Event, read_events
from cars_bench.workspace import Workspace

TRAIN = 7330
VAL = 814
TEST = 16
RANK = 160
SEED = 0
SPACE = """
name: compared
fixed: {{epochs: {epochs}, patience_epochs: 0, batch_size: {batch}}}
hyperparameters:
  depth: {{type: int, min: 0, max: 1}}
  units_1: {{type: int, min: 128, max: 512, log: true, when: {{depth: [1]}}}}
  dropout: {{type: float, min: 0.0, max: 0.5, step: 0.1, when: {{depth: [1]}}}}
  learning_rate: {{type: float, min: 3.0e-4, max: 1.0e-2, log: true}}
"""


def parser(purpose: str) -> argparse.ArgumentParser:
    """The options that every search benchmark has."""
    options = argparse.ArgumentParser(description=purpose)
    options.add_argument("--cache", type=Path, help="a workspace whose cache is used instead")
    options.add_argument("--width", type=int, default=1280, help="of the made-up features")
    options.add_argument("--classes", type=int, default=196, help="of the made-up features")
    return options


def prepared(root: Path, arguments: argparse.Namespace) -> Workspace:
    """A workspace to search in: with a link to the given cache, or with made-up features."""
    workspace = Workspace(root)
    if arguments.cache is None:
        make_features(workspace, arguments.width, arguments.classes)
        return workspace
    root.mkdir(parents=True, exist_ok=True)
    (root / "cache").symlink_to((arguments.cache / "cache").resolve())
    workspace.remember("cache", **Workspace(arguments.cache).settings()["cache"])
    return workspace


def make_features(workspace: Workspace, width: int, classes: int) -> None:
    """8,144 noisy non-negative features with class centres of low rank, float16."""
    dataset = _make_dataset(workspace, classes)
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (classes, RANK)) @ rng.normal(0, RANK**-0.5, (RANK, width))

    def features(labels: np.ndarray, shard: PlannedShard) -> np.ndarray:
        noisy = 0.11 * centres[labels] + rng.normal(0, 1, (len(labels), width)) * 0.6
        return np.maximum(noisy, 0).astype(np.float16)

    made_up = MadeUpCache.of(dataset, (width,), backbone="efficientnet-lite0", image_size=224)
    made_up.write(workspace, batch_of_dataset(dataset, features))


def _make_dataset(workspace: Workspace, classes: int) -> Dataset:
    splits = ["train"] * TRAIN + ["val"] * VAL + ["test"] * TEST
    labels = np.arange(len(splits)) % classes
    table = pd.DataFrame(
        {
            "image_id": [f"{number:05d}.jpg" for number in range(len(splits))],
            "class_name": [f"class {label:03d}" for label in labels],
            "label": labels,
            "split": splits,
        }
    )
    return without_images(workspace, "made-up", table)


def without_images(workspace: Workspace, name: str, table: pd.DataFrame) -> Dataset:
    """Write a dataset whose images are nowhere, and make it the default.

    Args:
        workspace: Where to.
        name: Of the dataset.
        table: Its columns `image_id`, `class_name`, `label` and `split`.
    """
    whole = table.assign(
        path=[f"/nowhere/{image_id}" for image_id in table["image_id"]],
        **dict.fromkeys(BOX_COLUMNS, float("nan")),
        width=224,
        height=224,
        sha256="0" * 64,
    )
    source = CardSource("nowhere", "nowhere", "folders")
    card = make_card(whole, Problems(), source=source, how="made up", seed=0, crop="none")
    write_dataset(workspace.datasets / name, whole, card)
    workspace.remember("dataset", name=name, crop="none")
    return Dataset.load(workspace)


def cache_of(workspace: Workspace) -> FeatureCache:
    """The cache that is searched on."""
    return FeatureCache.open(workspace)


def ledger_events(workspace: Workspace, study: str) -> list[Event]:
    """All events of a study so far."""
    return read_events(workspace.studies / study / "ledger.jsonl")


def write_space(path: Path, arguments: argparse.Namespace) -> None:
    """The space that both sides of a comparison search, of heads that train equally long."""
    path.write_text(SPACE.format(epochs=arguments.epochs, batch=arguments.batch))


def search(workspace: Workspace, space: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one search of ours, and the heads it trained."""
    from cars_bench.progress import Progress
    from cars_bench.tuning.search import TuneOptions, tune

    study = f"ours{time.time_ns()}"
    options = TuneOptions(
        trials=arguments.trials,
        space=str(space),
        seed=SEED,
        study=study,
        repeats=0,
        workers=arguments.workers,
    )
    begun = time.time()
    tune(workspace, options, Progress())
    events = ledger_events(workspace, study)
    done = [event for event in events if event["event"] == "completed"]
    epochs = sum(event["event"] == "epoch" for event in events)
    heads = [event["values"] for event in events if event["event"] == "proposed"]
    seconds = max(event["time"] for event in done) - begun
    best = max(event["score"] for event in done)
    return {"seconds": seconds, "epochs": epochs, "heads": heads, "best": best}


def in_own_process(
    script: str, backend: str, root: Path, *words: str, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """The JSON line of a benchmark run again as one of its sides, with what it was asked."""
    command = [sys.executable, script, *sys.argv[1:], "--root", str(root), *words]
    variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {})
    printed = subprocess.run(
        command, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return dict(json.loads(printed.splitlines()[-1]))


def close(document: dict[str, object]) -> None:
    """End with one JSON line."""
    print(json.dumps(document, allow_nan=False))
