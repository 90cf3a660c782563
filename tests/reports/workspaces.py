"""Draws a small workspace at any stage, through the writers of the rooms that own the formats."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from cars_bench.cache.cost import add_cost
from cars_bench.cache.made_up import MadeUpCache, batch_of_dataset
from cars_bench.cache.manifest import Manifest
from cars_bench.cache.shard_plan import PlannedShard
from cars_bench.data.card import CardSource, Quarantined
from cars_bench.data.dataset import Dataset, write_dataset
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.data.prepare import make_card
from cars_bench.data.problems import Problems
from cars_bench.documents import to_json
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
from cars_bench.workspace import Workspace, write_json, write_text

STAGES = ("prepared", "extracted", "tuned", "finetuned")
CLASSES = (
    "Acura TL Sedan 2012",
    "Audi S4 Sedan 2007",
    "Audi S4 Sedan 2012",
    "BMW X5 SUV 2007",
    "BMW X6 SUV 2012",
    "Dodge Ram Pickup Cab 2010",
)
EVIL = "</script><img src=x onerror=alert(1)>"
WIDTH = 16
SPLITS = ["train"] * 7 + ["val"] * 3 + ["test"] * 5


def make_workspace(
    root: Path, stage: str = "finetuned", trials: int = 30, classes: tuple[str, ...] = CLASSES
) -> Workspace:
    """A workspace that has come as far as `stage`, the same for the same arguments."""
    workspace = Workspace(root)
    reached = STAGES.index(stage)
    dataset = _dataset(workspace, classes)
    if reached >= 1:
        manifest = _cache(workspace, dataset)
    if reached >= 2:
        _study(workspace, dataset, manifest, trials)
    if reached >= 3:
        _run(workspace, dataset)
    return workspace


def _dataset(workspace: Workspace, classes: tuple[str, ...]) -> Dataset:
    folder = workspace.datasets / "drawn"
    ordered = sorted(classes)
    rows = [
        _image(folder, label, name, place, split)
        for label, name in enumerate(ordered)
        for place, split in enumerate(SPLITS)
    ]
    table = pd.DataFrame(rows).sort_values("image_id").reset_index(drop=True)
    problems = Problems()
    problems.quarantined.append(Quarantined(f"broken/{EVIL}.jpg", "it is HTML"))
    card = make_card(
        table,
        problems,
        source=CardSource("cars.csv", "", "csv"),
        how="65/20/15 by seed 0",
        seed=0,
        crop="none",
    )
    write_dataset(folder, table, replace(card, created="2026-01-01T00:00:00Z"))
    workspace.remember("dataset", name="drawn", crop="none")
    return Dataset.load(workspace)


def _image(folder: Path, label: int, name: str, place: int, split: str) -> dict[str, Any]:
    image_id = f"{label:03d}/{place:02d}.png"
    path = folder / "images" / image_id
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (96, 64), (200 - 3 * place, 205, 210))
    pen = ImageDraw.Draw(image)
    colour = tuple(int(c) for c in np.random.default_rng(label).integers(30, 200, 3))
    left = 8 + place
    pen.rounded_rectangle((left, 28, left + 64, 48), 6, fill=colour)
    pen.polygon(
        [(left + 12, 28), (left + 22, 16), (left + 38 + label % 7 * 2, 16), (left + 52, 28)],
        fill=colour,
    )
    for wheel in (left + 14, left + 50):
        pen.ellipse((wheel - 6, 42, wheel + 6, 54), fill=(30, 30, 30))
    image.save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    box = {"x1": float(left), "y1": 14.0, "x2": float(left + 66), "y2": 56.0}
    return {
        "image_id": image_id,
        "path": str(path),
        "class_name": name,
        "label": label,
        "split": split,
        "width": 96,
        "height": 64,
        "sha256": digest,
        **box,
    }


def _cache(workspace: Workspace, dataset: Dataset) -> Manifest:
    made_up = MadeUpCache.of(
        dataset,
        (WIDTH,),
        weights_digest="ab" * 32,
        image_size=64,
        resize=RESIZE_METHOD,
        preprocessing="scale",
        dtype="float32",
    )

    def features(labels: np.ndarray, shard: PlannedShard) -> np.ndarray:
        noise = np.random.default_rng(len(shard.split)).normal(0, 0.7, (len(labels), WIDTH))
        centres = np.random.default_rng(5).normal(0, 1, (len(dataset.class_names), WIDTH))
        found = (centres[labels] + noise).astype(np.float32)
        if shard.split == "test":
            found[0] = _planted(dataset)
        return found

    manifest = made_up.write(workspace, batch_of_dataset(dataset, features)).manifest
    add_cost(workspace, manifest.recipe.key, manifest.records, manifest.records / 40)
    return manifest


def _planted(dataset: Dataset) -> np.ndarray:
    """The feature of the first training image: a near-duplicate across the split."""
    labels = dataset.split("train")["label"].to_numpy(np.int64)
    noise = np.random.default_rng(len("train")).normal(0, 0.7, (len(labels), WIDTH))
    centres = np.random.default_rng(5).normal(0, 1, (len(dataset.class_names), WIDTH))
    return (centres[labels[0]] + noise[0]).astype(np.float32)


def _study(workspace: Workspace, dataset: Dataset, manifest: Manifest, trials: int) -> None:
    folder = workspace.studies / "drawn-tiny"
    document = {
        "schema_version": 1,
        "name": "drawn-tiny",
        "created": "2026-01-02T03:04:05+00:00",
        "cache_key": manifest.recipe.key,
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "class_names": dataset.class_names,
        "features": {"backbone": "tiny", "pooling": "avg", "width": WIDTH, "views": 1},
        "space": SPACE,
        "oracle": "random",
        "seed": 0,
        "backend": "jax",
        "budget": {"trials": trials, "epochs": 12},
        "versions": {"keras": "3.15.1", "numpy": "2.4"},
    }
    write_json(folder / "study.json", document)
    generator = np.random.default_rng(3)
    events = [event for number in range(trials) for event in _trial(number, generator)]
    events += [event for name in ("ridge", "logistic", "knn") for event in _probe(name)]
    events += _unfinished(trials)
    lines = [json.dumps(event | {"time": 1.0}) for event in events]
    write_text(folder / "ledger.jsonl", "\n".join(lines) + '\n{"event": "epo')
    best = max(
        (e for e in events if e["event"] == "completed" and e["kind"] == "trial"),
        key=lambda e: e["score"],
    )
    write_json(folder / "winner" / "winner.json", {"trial_id": best["trial_id"]})
    workspace.remember("study", name="drawn-tiny")


SPACE = {
    "name": "quick",
    "fixed": {"epochs": 12},
    "hyperparameters": {
        "depth": {"type": "int", "min": 0, "max": 2},
        "learning_rate": {"type": "float", "min": 1e-4, "max": 1e-1, "log": True},
        "optimizer": {"type": "choice", "values": ["adam", "adamw", "sgd"]},
        "dropout": {"type": "float", "min": 0.0, "max": 0.5},
    },
}


def _trial(number: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    trial_id = f"t{number:04d}"
    rate = float(10 ** generator.uniform(-4, -1))
    dropout = float(generator.uniform(0, 0.5))
    depth = int(generator.integers(0, 3))
    optimizer = ("adam", "adamw", "sgd")[number % 3]
    peak = 0.62 - 0.1 * abs(np.log10(rate) + 2.5) + 0.03 * depth + float(generator.normal(0, 0.02))
    head = HeadSpec(tuple(DenseLayer(256 >> n, dropout=round(dropout, 2)) for n in range(depth)))
    training = TrainingSpec(optimizer=optimizer, learning_rate=rate, epochs=12)
    values = {"depth": depth, "learning_rate": rate, "optimizer": optimizer, "dropout": dropout}
    events: list[dict[str, Any]] = [
        {
            "event": "proposed",
            "trial_id": trial_id,
            "number": number,
            "values": values,
            "head": to_json(head),
            "training": to_json(training),
        }
    ]
    if number == 7:
        return [
            *events,
            {
                "event": "failed",
                "trial_id": trial_id,
                "reason": "loss is not finite",
                "seconds": 0.4,
            },
        ]
    ran = 12 if number % 4 else 8
    curve = [float(max(0.05, peak * (1 - np.exp(-epoch / 2.5)))) for epoch in range(1, ran + 1)]
    events += [_epoch(trial_id, epoch, value, rate) for epoch, value in enumerate(curve, 1)]
    score = max(curve)
    ends = {"score": score, "low": score - 0.06, "high": score + 0.06}
    return [
        *events,
        {
            "event": "completed",
            "trial_id": trial_id,
            "kind": "trial",
            **ends,
            "best_epoch": ran,
            "epochs": ran,
            "seconds": 2.5,
            "parameters": 5000 * (depth + 1),
        },
    ]


def _epoch(trial_id: str, epoch: int, value: float, rate: float) -> dict[str, Any]:
    return {
        "event": "epoch",
        "trial_id": trial_id,
        "epoch": epoch,
        "train_loss": 1.8 / epoch,
        "val_loss": 1.9 / epoch,
        "val_top1": value,
        "learning_rate": rate,
        "seconds": 0.2,
    }


def _probe(name: str) -> list[dict[str, Any]]:
    score = {"ridge": 0.52, "logistic": 0.55, "knn": 0.41}[name]
    done = {
        "kind": "probe",
        "score": score,
        "low": score - 0.06,
        "high": score + 0.06,
        "seconds": 1.0,
    }
    trial_id = f"probe-{name}"
    return [
        {"event": "proposed", "trial_id": trial_id, "kind": "probe", "values": {"penalty": 0.1}},
        {"event": "completed", "trial_id": trial_id, **done},
    ]


def _unfinished(number: int) -> list[dict[str, Any]]:
    events = _trial(number, np.random.default_rng(9))
    return [event for event in events if event["event"] == "proposed"] + events[1:3]


def _run(workspace: Workspace, dataset: Dataset) -> None:
    folder = workspace.studies / "drawn-tiny" / "final" / "t0001-conv3"
    tables = {
        (stage, split): _predictions(dataset, split, 0.62 if stage == "frozen" else 0.82)
        for stage in ("frozen", "finetuned")
        for split in ("val", "test")
    }
    scores: dict[str, dict[str, Any]] = {"frozen": {}, "finetuned": {}}
    for (stage, split), table in tables.items():
        suffix = "-frozen" if stage == "frozen" else ""
        folder.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / f"predictions-{split}{suffix}.csv", index=False)
        scores[stage][split] = _score(table)
    history = pd.DataFrame(
        [
            (e, 1.5 / e, 1.6 / e + 0.02 * e, 0.6 + 0.2 * (1 - np.exp(-e / 3)), 1e-4 / e, 6.0)
            for e in range(1, 11)
        ],
        columns=["epoch", "train_loss", "val_loss", "val_top1", "learning_rate", "seconds"],
    )
    history.to_csv(folder / "history.csv", index=False)
    record = {
        "schema_version": 1,
        "run": folder.name,
        "study": "drawn-tiny",
        "trial_id": "t0001",
        "created": "2026-01-02T04:00:00+00:00",
        "epochs": 10,
        "best_epoch": 9,
        "seconds": 63.0,
        "unfreeze": {
            "text": "conv3",
            "boundary": "conv2",
            "layers": ["c3"],
            "trainable_parameters": 1234,
        },
        "training": to_json(TrainingSpec(learning_rate=1e-4, epochs=10)),
        "seed": 0,
        "backend": "tensorflow",
        "features": {"dtype": "float32", "runtime": "tensorflow", "precision": "float32"},
        "frozen_check": {"unchanged": 12, "batch_norm_unchanged": 8, "changed": 3},
        "handoff": {
            "features": {"images": 18, "max_abs_diff": 0.0002, "min_cosine": 0.9999991},
            "max_abs_diff": 0.0012,
            "top1_agreement": 1.0,
            "assembled_agreement": 0.99,
            "witness_top1": 0.6,
            "assembled_top1": 0.6,
        },
        "versions": {"keras": "3.15.1"},
        **scores,
    }
    write_json(folder / "heatmaps.json", _looks(dataset, tables["finetuned", "test"]))
    write_json(folder / "run.json", record)


def _looks(dataset: Dataset, table: pd.DataFrame) -> dict[str, Any]:
    """Heat in the middle of what was named right, and in a corner of what was not."""
    images = []
    for row in table.to_dict("records"):
        heat = np.zeros((4, 4))
        heat[(2, 2) if row["true"] == row["pred1"] else (0, 0)] = 1.0
        images.append(
            {"image_id": row["image_id"], "predicted": row["pred1"], "heat": heat.tolist()}
        )
    return {"schema_version": 1, "method": "Grad-CAM", "images": images}


def _score(table: pd.DataFrame) -> dict[str, Any]:
    value = float((table["true"] == table["pred1"]).mean())
    top5 = float(
        (table[[f"pred{k}" for k in range(1, 6)]].eq(table["true"], axis=0)).any(axis=1).mean()
    )
    return {
        "top1": {"value": value, "low": value - 0.1, "high": min(1.0, value + 0.1)},
        "top5": {"value": top5, "low": top5 - 0.05, "high": 1.0},
        "n": len(table),
    }


def _predictions(dataset: Dataset, split: Any, share: float) -> pd.DataFrame:
    """Right for a share of the images; else the next class, so that neighbours are confused."""
    generator = np.random.default_rng(round(share * 100))
    names, rows = dataset.class_names, []
    for item in dataset.split(split).to_dict("records"):
        label = int(item["label"])
        first = (
            label
            if generator.random() < share
            else (label + (1 if label % 2 == 0 else -1)) % len(names)
        )
        order = [first, *(n for n in np.roll(np.arange(len(names)), -label) if n != first)][:5]
        top = float(generator.uniform(0.35, 0.99))
        probabilities = [top, *((1 - top) * np.array([0.5, 0.3, 0.15, 0.05]))]
        rows.append([item["image_id"], names[label], *(names[n] for n in order), *probabilities])
    columns = [
        "image_id",
        "true",
        *(f"pred{k}" for k in range(1, 6)),
        *(f"prob{k}" for k in range(1, 6)),
    ]
    return pd.DataFrame(rows, columns=columns)
