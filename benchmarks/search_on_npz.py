"""The search's training on the device that JAX finds, beside the CPU and beside Keras' own `fit`.

Takes one file that `cars-bench cache export` writes, and needs neither images
nor TensorFlow, so it also runs where only JAX and Keras are.  Measured are the
seconds a trial-epoch of fixed heads, validation included and compilation not,
ours and `fit`'s on arrays in memory; those of all epochs, compilation included;
and those of a whole search with its workers.  The sides run in turn, each in a
process of its own.

    cars-bench cache export features.npz
    python benchmarks/search_on_npz.py features.npz
    python benchmarks/search_on_npz.py features.npz --backends jax torch --workers 1 4
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from searching import SEED, cache_of, close, in_own_process, search, without_images

from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.shards import Batch, PlannedShard
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.testing import MadeUpCache
from cars_bench.data.dataset import SPLITS, Dataset
from cars_bench.documents import from_json
from cars_bench.tuning.worker_pool import cores
from cars_bench.workspace import Workspace

if TYPE_CHECKING:
    import keras

    from cars_bench.training.checkpoint import EpochResult

NAME = "npz"
HEADS = {"linear": (), "400 units": (400,)}
CPU = {"JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}
ACCELERATOR, BESIDE = "device", "cpu"


def unpacked(path: Path, workspace: Workspace) -> FeatureCache:
    """The exported cache as a cache of `workspace`, of images that are not there."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    manifest = json.loads(str(arrays["manifest"]))
    names = [str(name) for name in arrays["class_names"]]
    dataset = _write_dataset(workspace, arrays, names)
    made = MadeUpCache(
        recipe=from_json(FeatureRecipe, manifest["recipe"] | {"dataset_digest": dataset.digest}),
        dataset=NAME,
        class_names=tuple(names),
        counts={split: len(arrays.get(f"{split}/labels", ())) for split in SPLITS},
        shape=tuple(manifest["shape"]),
        views=arrays["train/features"].shape[1],
    )

    def batch_of(shard: PlannedShard) -> Batch:
        rows = slice(shard.start, shard.stop)
        ids, labels, features = (
            arrays[f"{shard.split}/{what}"][rows] for what in ("image_ids", "labels", "features")
        )
        return Batch([str(name) for name in ids], labels, shard.view, features[:, shard.view])

    return made.write(workspace, batch_of)


def _write_dataset(
    workspace: Workspace, arrays: dict[str, np.ndarray], names: list[str]
) -> Dataset:
    parts = [
        pd.DataFrame(
            {
                "image_id": arrays[f"{split}/image_ids"].astype(object),
                "class_name": [names[label] for label in arrays[f"{split}/labels"]],
                "label": arrays[f"{split}/labels"],
                "split": split,
            }
        )
        for split in SPLITS
        if f"{split}/labels" in arrays
    ]
    return without_images(workspace, NAME, pd.concat(parts, ignore_index=True))


def device() -> dict[str, Any]:
    """What Keras' backend computes on here."""
    if os.environ["KERAS_BACKEND"] == "torch":
        import torch

        found = torch.cuda.is_available() and "KERAS_TORCH_DEVICE" not in os.environ
        return {"device": torch.cuda.get_device_name() if found else _processor()}
    import jax

    first = jax.devices()[0]
    return {"device": _processor() if first.platform == "cpu" else first.device_kind}


def _processor() -> str:
    """The CPU's name, and how many of its cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else 'CPU'}, {cores()} cores"


def ours(workspace: Workspace, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each epoch of each head and batch, by the loop that the workers run."""
    from cars_bench.training.examples import cached_examples, training_examples
    from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
    from cars_bench.tuning.trained_head import HeadTraining, train_head

    cache = cache_of(workspace)
    train_set, val_set = training_examples(cache), cached_examples(cache, "val")

    def history(units: tuple[int, ...], batch: int) -> list[EpochResult]:
        head = HeadSpec(layers=tuple(DenseLayer(count) for count in units))
        spec = TrainingSpec(batch_size=batch, epochs=arguments.epochs, patience_epochs=0)
        what = HeadTraining(head, spec, len(cache.manifest.class_names), SEED)
        return train_head(what, train_set, val_set)[1].history

    return _each(
        arguments,
        lambda *asked: [(row.seconds, float(row.val_top1 or 0.0)) for row in history(*asked)],
    )


def fit(workspace: Workspace, arguments: argparse.Namespace) -> dict[str, Any]:
    """The same of Keras' `fit` on float32 arrays in memory: the plain views, the same steps."""
    import keras

    from cars_bench.training.specs import TrainingSpec

    cache = cache_of(workspace)
    (x, labels), val = (
        (found.x[:, 0].astype(np.float32), found.labels)
        for found in (cache.load("train", 1), cache.load("val", 1))
    )

    def epochs(units: tuple[int, ...], batch: int) -> list[tuple[float, float]]:
        keras.backend.clear_session()
        keras.utils.set_random_seed(SEED)
        model = keras.Sequential([keras.Input(x.shape[1:])])
        for count in units:
            model.add(keras.layers.Dense(count, activation="relu"))
        model.add(keras.layers.Dense(len(cache.manifest.class_names)))
        model.compile(
            keras.optimizers.Adam(TrainingSpec().learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        ends = _clock(keras)
        done = model.fit(
            x,
            labels,
            batch,
            arguments.epochs,
            verbose=0,
            validation_data=val,
            callbacks=[ends],
        )
        seconds = np.diff(ends.times).tolist()
        return list(zip(seconds, done.history["val_accuracy"], strict=True))

    return _each(arguments, epochs)


def _clock(keras_module: Any) -> keras.callbacks.Callback:
    """A callback with the times at which training began and each epoch ended."""

    class Clock(keras_module.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.times = [time.monotonic()]

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.times.append(time.monotonic())

    return Clock()


Epochs = Callable[[tuple[int, ...], int], list[tuple[float, float]]]


def _each(arguments: argparse.Namespace, epochs: Epochs) -> dict[str, Any]:
    """Median seconds of the epochs after the first, which compiles; those of all; top-1."""
    said = {}
    for (name, units), batch in itertools.product(HEADS.items(), arguments.batches):
        rows = epochs(units, batch)
        said[f"{name}, batch {batch}"] = {
            "seconds": statistics.median(seconds for seconds, _ in rows[1:]),
            "first": rows[0][0],
            "all": sum(seconds for seconds, _ in rows),
            "val_top1": max(float(top1) for _, top1 in rows),
        }
    return said


def whole_search(workspace: Workspace, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of `tune` on the default space, without repeats."""
    arguments.workers = arguments.search_workers or None
    found = search(workspace, Path("default"), arguments)
    return {name: found[name] for name in ("seconds", "epochs", "best")}


SIDES = {"ours": ours, "fit": fit, "search": whole_search}


@dataclass(frozen=True)
class Setting:
    """One thing that is measured again and again: a side, on a backend, on a device."""

    side: str
    backend: str
    place: str
    workers: int = 0

    def run(self, root: Path) -> dict[str, Any]:
        """Measure it once."""
        words = ["--side", self.side, "--search-workers", str(self.workers)]
        environment = CPU if self.place == BESIDE else {}
        said = in_own_process(__file__, self.backend, root, *words, environment=environment)
        print(f"{self}: {json.dumps(said)}", file=sys.stderr, flush=True)
        return said

    def __str__(self) -> str:
        workers = f", {self.workers or 'default'} workers" if self.side == "search" else ""
        return f"{self.side} on {self.backend}, {self.place}{workers}"


def settings(arguments: argparse.Namespace, places: Sequence[str]) -> list[Setting]:
    """All that is asked for; beside another device the CPU has our side alone."""
    first = arguments.backends[0]
    trained = [
        Setting(side, backend, places[0])
        for backend in arguments.backends
        for side in ("ours", "fit")
    ]
    trained += [Setting("ours", first, place) for place in places[1:]]
    searched = [
        Setting("search", first, place, workers)
        for place in places
        for workers in (arguments.workers if place == ACCELERATOR else [0])
    ]
    return trained + (searched if arguments.trials else [])


def measured(root: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Medians over the rounds, and how many times faster ours is than what stands beside it."""
    first = arguments.backends[0]
    names = {
        ACCELERATOR: Setting("device", first, ACCELERATOR).run(root)["device"],
        BESIDE: Setting("device", first, BESIDE).run(root)["device"],
    }
    places = [ACCELERATOR, BESIDE] if names[ACCELERATOR] != names[BESIDE] else [BESIDE]
    runs: dict[Setting, list[dict[str, Any]]] = {}
    for number in range(max(arguments.rounds, arguments.search_rounds)):
        for setting in settings(arguments, places):
            rounds = arguments.search_rounds if setting.side == "search" else arguments.rounds
            if number < rounds:
                runs.setdefault(setting, []).append(setting.run(root))
    return {"devices": {place: names[place] for place in places}} | summary(runs)


def summary(runs: dict[Setting, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians over the runs, and their ratios to ours on the first backend and device."""
    searched = {key: value for key, value in runs.items() if key.side == "search"}
    trained = {key: value for key, value in runs.items() if key.side != "search"}
    epochs = {
        what: _compared({str(key): [run[what] for run in value] for key, value in trained.items()})
        for what in next(iter(trained.values()))[0]
    }
    whole = _compared({str(key): value for key, value in searched.items()}) if searched else {}
    return {"trial_epoch": epochs, "search": whole}


def _compared(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The median of each thing that was measured, and seconds as multiples of the first's."""
    middle = {
        key: {name: round(statistics.median(run[name] for run in found), 5) for name in found[0]}
        for key, found in runs.items()
    }
    first = next(iter(middle.values()))
    return {
        key: found
        | {
            f"{name}_ratio": round(found[name] / first[name], 2)
            for name in ("seconds", "all")
            if name in found
        }
        for key, found in middle.items()
    }


def options() -> argparse.ArgumentParser:
    """What can be asked for."""
    found = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    found.add_argument("file", type=Path, help="what `cars-bench cache export` wrote")
    found.add_argument("--backends", nargs="+", default=["jax"], help="of Keras: jax, torch")
    found.add_argument("--batches", nargs="+", type=int, default=[32, 256])
    found.add_argument("--epochs", type=int, default=12, help="of each head; the first compiles")
    found.add_argument("--trials", type=int, default=40, help="of the search; 0 for none")
    found.add_argument("--workers", nargs="+", type=int, default=[0], help="0 as `tune` chooses")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--search-rounds", type=int, default=3)
    found.add_argument("--side", choices=["device", *SIDES], help=argparse.SUPPRESS)
    found.add_argument("--search-workers", type=int, default=0, help=argparse.SUPPRESS)
    found.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    return found


def main() -> None:
    """Measure every side in turn, or be one of them."""
    arguments = options().parse_args()
    if arguments.side == "device":
        close(device())
    elif arguments.side:
        close(SIDES[arguments.side](Workspace(arguments.root), arguments))
    else:
        with tempfile.TemporaryDirectory() as folder:
            unpacked(arguments.file, Workspace(Path(folder)))
            close(measured(Path(folder), arguments))


if __name__ == "__main__":
    main()
