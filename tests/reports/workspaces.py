"""Draws a small workspace at any stage, through the writers of the rooms that own the formats."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from cars_bench.cache.manifest import add_cost
from cars_bench.cache.shards import PlannedShard
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.testing import MadeUpCache, batch_of_dataset
from cars_bench.data.card import CardSource, Quarantined
from cars_bench.data.dataset import Dataset, write_dataset
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.data.prepare import make_card
from cars_bench.data.problems import Problems
from cars_bench.evaluation.calibration import Calibration, Temperature, calibration_of
from cars_bench.evaluation.metrics import SplitScore, split_score, wilson
from cars_bench.evaluation.predictions import Prediction, Predictions, write_predictions
from cars_bench.finetune.handoff import Drift, FrozenCheck, Handoff
from cars_bench.finetune.heatmaps import Heatmap, Heatmaps, write_heatmaps
from cars_bench.finetune.plan import FINAL
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.run_record import RunBackbone, RunDataset, RunFeatures, RunRecord, Unfrozen
from cars_bench.finetune.runs import MEASURED, Run, predictions_path
from cars_bench.finetune.runs import (
    STAGES as MODELS,
)
from cars_bench.finetune.speed import BatchSpeed, Speed
from cars_bench.training.checkpoint import HISTORY_FILE, EpochResult, write_history
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.ledger import Ledger, Trial, TrialOutcome
from cars_bench.tuning.ranking import pack
from cars_bench.tuning.space import parse_space
from cars_bench.tuning.stored_head import WINNER, HeadRecord, StoredHead
from cars_bench.tuning.study import Asked, SearchPlan, Study, Winner
from cars_bench.workspace import Workspace

STAGES = ("prepared", "extracted", "tuned", "finetuned")
CLASSES = (
    "Acura TL Sedan 2012",
    "Audi S4 Sedan 2007",
    "Audi S4 Sedan 2012",
    "BMW X5 SUV 2007",
    "BMW X6 SUV 2012",
    "Dodge Ram Pickup Cab 2010",
)
STUDY = "drawn-tiny"
PROBES = {"ridge": 0.52, "logistic": 0.55, "knn": 0.41}
SPACE = """
name: quick
fixed: {epochs: 12}
hyperparameters:
  depth: {type: int, min: 0, max: 2}
  learning_rate: {type: float, min: 1.0e-4, max: 1.0e-1, log: true}
  optimizer: {type: choice, values: [adam, adamw, sgd]}
  dropout: {type: float, min: 0.0, max: 0.5}
"""
EVIL = "</script><img src=x onerror=alert(1)>"
MODEL = "model.keras"
WIDTH = 16
SPLITS = ["train"] * 7 + ["val"] * 3 + ["test"] * 5


def make_workspace(
    root: Path, stage: str = "finetuned", trials: int = 30, classes: tuple[str, ...] = CLASSES
) -> Workspace:
    """A workspace that has come as far as `stage`, the same for the same arguments."""
    return _made(Workspace(root), Drawn(), stage, trials, classes)


def add_cropped(
    workspace: Workspace, stage: str = "finetuned", classes: tuple[str, ...] = CLASSES
) -> Workspace:
    """With a second study, of the same images cut to their boxes and of better answers."""
    return _made(workspace, CUT, stage, 3, classes)


def prepared_anew(workspace: Workspace, crop: str = "boxes") -> Workspace:
    """With other images under the name of the first study's dataset, cut otherwise."""
    _made(workspace, Drawn(crop=crop), "prepared", 0, CLASSES[1:])
    return workspace


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a study and its dataset are called, and how they differ.

    Attributes:
        right: Share of the images named right, frozen and fine-tuned.
    """

    dataset: str = "drawn"
    crop: str = "none"
    study: str = STUDY
    right: tuple[float, float] = (0.62, 0.82)


CUT = Drawn(dataset="drawn-cut", crop="boxes", study="cropped", right=(0.8, 0.97))


def _made(
    workspace: Workspace, drawn: Drawn, stage: str, trials: int, classes: tuple[str, ...]
) -> Workspace:
    reached = STAGES.index(stage)
    dataset = _dataset(workspace, drawn, classes)
    if reached >= 1:
        _cache(workspace, dataset)
    if reached >= 2:
        _study(workspace, dataset, drawn.study, trials)
    if reached >= 3:
        _run(workspace, dataset, drawn.right)
    return workspace


def _dataset(workspace: Workspace, drawn: Drawn, classes: tuple[str, ...]) -> Dataset:
    folder = workspace.datasets / drawn.dataset
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
        crop=drawn.crop,
    )
    write_dataset(folder, table, replace(card, created="2026-01-01T00:00:00Z"))
    workspace.remember("dataset", name=drawn.dataset, crop=drawn.crop)
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


def _cache(workspace: Workspace, dataset: Dataset) -> None:
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


def _planted(dataset: Dataset) -> np.ndarray:
    """The feature of the first training image: a near-duplicate across the split."""
    labels = dataset.split("train")["label"].to_numpy(np.int64)
    noise = np.random.default_rng(len("train")).normal(0, 0.7, (len(labels), WIDTH))
    centres = np.random.default_rng(5).normal(0, 1, (len(dataset.class_names), WIDTH))
    return (centres[labels[0]] + noise[0]).astype(np.float32)


def _study(workspace: Workspace, dataset: Dataset, name: str, trials: int) -> None:
    cache = FeatureCache.open(workspace)
    study = Study.open_or_create(workspace, cache, dataset, name)
    space = parse_space(SPACE, "quick.yaml")
    plan = SearchPlan(space=space.document, oracle="random", seed=0, epochs=12, backend="jax")
    study = study.settle(plan, trials)
    generator = np.random.default_rng(3)
    images = len(dataset.records("val"))
    with Ledger(study.ledger_path) as ledger, _clock_stopped():
        for number in range(trials):
            _trial(ledger, number, images, generator)
        for probe, share in PROBES.items():
            _probe(ledger, probe, _answers(share, images, generator))
        _begun(ledger, trials)
    _tear(study.ledger_path)
    study.changed(
        created="2026-01-02T03:04:05+00:00",
        versions={"keras": "3.15.1", "numpy": "2.4"},
        asked=Asked(space="quick", repeats=0),
        winner=Winner(trial_id=best_trial(study).trial_id),
    )


def _clock_stopped() -> Any:
    """What is drawn does not depend on when it was."""
    return mock.patch.object(time, "time", return_value=1.0)


def _tear(path: Path) -> None:
    """A last line that a crash cut short."""
    with path.open("ab") as stream:
        stream.write(b'{"event": "epo')


def _proposed(number: int, generator: np.random.Generator) -> tuple[Trial, float]:
    """A trial as an oracle proposes it, and how well it is going to do."""
    rate = float(10 ** generator.uniform(-4, -1))
    dropout = float(generator.uniform(0, 0.5))
    depth = int(generator.integers(0, 3))
    optimizer = ("adam", "adamw", "sgd")[number % 3]
    peak = 0.62 - 0.1 * abs(np.log10(rate) + 2.5) + 0.03 * depth + float(generator.normal(0, 0.02))
    layers = (DenseLayer(256 >> n, dropout=round(dropout, 2)) for n in range(depth))
    trial = Trial(
        trial_id=f"t{number:04d}",
        number=number,
        values={"depth": depth, "learning_rate": rate, "optimizer": optimizer, "dropout": dropout},
        head=HeadSpec(layers=tuple(layers)),
        training=TrainingSpec(optimizer=optimizer, learning_rate=rate, epochs=12),
    )
    return trial, peak


def _trial(ledger: Ledger, number: int, images: int, generator: np.random.Generator) -> None:
    trial, peak = _proposed(number, generator)
    ledger.proposed(trial)
    if number == 7:
        ledger.ended(trial.ended(TrialOutcome(reason="loss is not finite", seconds=0.4)))
        return
    right = _answers(peak, images, generator)
    ran = 12 if number % 4 else 8
    for epoch in range(1, ran + 1):
        share = (1 - np.exp(-epoch / 2.5)) / (1 - np.exp(-ran / 2.5))
        value = float(right.mean() * share)
        ledger.epoch(trial.trial_id, _epoch(epoch, value, trial.values["learning_rate"]))
    depth = trial.values["depth"]
    outcome = replace(_outcome(right, 2.5), best_epoch=ran, parameters=5000 * (depth + 1) + number)
    ledger.ended(trial.ended(outcome))


def _answers(share: float, images: int, generator: np.random.Generator) -> np.ndarray:
    """Which validation images are named right, bool `[images]`: a share of them."""
    return generator.permutation(images) < round(share * images)


def _outcome(right: np.ndarray, seconds: float) -> TrialOutcome:
    score = wilson(int(right.sum()), len(right))
    return TrialOutcome(
        score=score.value, low=score.low, high=score.high, seconds=seconds, correct=pack(right)
    )


def _epoch(epoch: int, value: float, rate: float) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        train_loss=1.8 / epoch,
        val_loss=1.9 / epoch,
        val_top1=value,
        learning_rate=rate,
        seconds=0.2,
    )


def _probe(ledger: Ledger, name: str, right: np.ndarray) -> None:
    probe = Trial(trial_id=f"probe-{name}", kind="probe", values={"penalty": 0.1})
    ledger.proposed(probe)
    ledger.ended(probe.ended(_outcome(right, 1.0)))


def _begun(ledger: Ledger, number: int) -> None:
    """A trial that has not ended."""
    trial, peak = _proposed(number, np.random.default_rng(9))
    ledger.proposed(trial)
    for epoch in (1, 2):
        ledger.epoch(trial.trial_id, _epoch(epoch, peak * epoch / 3, trial.values["learning_rate"]))


def _run(workspace: Workspace, dataset: Dataset, right: tuple[float, float]) -> None:
    study = Study.open(workspace)
    folder = study.folder / FINAL / "t0001-conv3"
    folder.mkdir(parents=True)
    answers = {
        (stage, split): _predictions(dataset, split, share)
        for stage, share in zip(MODELS, right, strict=True)
        for split in MEASURED
    }
    for (stage, split), found in answers.items():
        write_predictions(predictions_path(folder, stage, split), found)
    (folder / MODEL).write_bytes(bytes(15_200_000))
    write_history(folder / HISTORY_FILE, [_fine_tuned(epoch) for epoch in range(1, 11)])
    write_heatmaps(folder, _heatmaps(answers["finetuned", "test"]))
    scores = {place: split_score(found.correct, found.hits(5)) for place, found in answers.items()}
    Run(folder, _record(study, dataset, scores)).write()


def evaluated(workspace: Workspace) -> Workspace:
    """A tuned workspace whose winner `evaluate` asked about the test images."""
    study = Study.open(workspace)
    dataset = Dataset.load(workspace)
    trial = best_trial(study)
    record = HeadRecord(
        trial_id=trial.trial_id,
        study=study.name,
        head=trial.head or HeadSpec(),
        training=trial.training or TrainingSpec(),
        refit="",
        score=11 / 18,
        ledger_score=trial.score,
        best_epoch=trial.best_epoch or 1,
        width=WIDTH,
        class_names=tuple(study.class_names),
        cache_key=study.cache_key,
        dataset=study.record.dataset,
        weights_sha256="ab" * 32,
    )
    head = StoredHead(study.folder / WINNER, record)
    head.write()
    head.keep_answers("test", _predictions(dataset, "test", 0.62))
    return workspace


def _fine_tuned(epoch: int) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        train_loss=1.5 / epoch,
        val_loss=1.6 / epoch + 0.02 * epoch,
        val_top1=0.6 + 0.2 * (1 - float(np.exp(-epoch / 3))),
        learning_rate=1e-4 / epoch,
        seconds=6.0,
    )


def _record(study: Study, dataset: Dataset, scores: dict[tuple[str, str], SplitScore]) -> RunRecord:
    training = TrainingSpec(learning_rate=1e-4, epochs=10)
    return RunRecord(
        run="t0001-conv3",
        study=study.name,
        trial_id="t0001",
        created="2026-01-02T04:00:00+00:00",
        dataset=RunDataset(dataset.name, dataset.digest, dataset.crop, dataset.card.split),
        class_names=tuple(dataset.class_names),
        cache_key=study.cache_key,
        features=RunFeatures("float32", "tensorflow", "float32"),
        backbone=RunBackbone(name="tiny", image_size=64, pooling="avg", weights_digest="ab" * 32),
        head=HeadSpec(),
        width=WIDTH,
        unfreeze=Unfrozen("conv3", "conv2", ("c3",), 1234),
        boundary_cache_key=None,
        training=training,
        recipe=Recipe(unfreeze="conv3", live=True, training=training),
        asked=("--unfreeze", "conv3", "--epochs", "10", "--lr", "0.0001", "--seed", "0", "--live"),
        warm_up=True,
        refit=False,
        seed=0,
        steering=(),
        epochs=10,
        best_epoch=9,
        seconds=63.0,
        training_seconds=60.0,
        handoff=HANDOFF,
        frozen_check=FrozenCheck(unchanged=12, batch_norm_unchanged=8, changed=3),
        whole_check=None,
        frozen={split: scores["frozen", split] for split in MEASURED},
        finetuned={split: scores["finetuned", split] for split in MEASURED},
        backend="tensorflow",
        versions={"keras": "3.15.1"},
        sha256={MODEL: "ab" * 32},
        saved_model_check=None,
        speed=Speed("A Processor, 2 cores", (BatchSpeed(1, 0.0431), BatchSpeed(32, 0.0121))),
        temperature=TEMPERATURE,
    )


def _calibrations(scale: float) -> dict[str, Calibration]:
    """Of a model whose probabilities are `scale` times too far from even, by split."""
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, (60, len(CLASSES)))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (shares.cumsum(1) < generator.random((60, 1))).sum(1)
    return {split: calibration_of(scale * logits, labels) for split in MEASURED}


TEMPERATURE = Temperature(value=1.8, images=18, before=_calibrations(1.8), after=_calibrations(1.0))
HANDOFF = Handoff(
    features=Drift(images=18, max_abs_diff=0.0002, min_cosine=0.9999991),
    max_abs_diff=0.0012,
    top1_agreement=1.0,
    assembled_agreement=0.99,
    witness_top1=0.6,
    assembled_top1=0.6,
    only_witness_right=1,
    only_assembled_right=1,
    p_value=1.0,
)


def _heatmaps(answers: Predictions) -> Heatmaps:
    """Heat in the middle of what was named right, and in a corner of what was not."""
    images = []
    for row in answers:
        heat = np.zeros((4, 4))
        heat[(2, 2) if row.correct() else (0, 0)] = 1.0
        images.append(Heatmap(row.image_id, row.answers[0], tuple(map(tuple, heat.tolist()))))
    return Heatmaps("Grad-CAM", tuple(images))


def _predictions(dataset: Dataset, split: Any, share: float) -> Predictions:
    """Right for a share of the images; else the next class, so that neighbours are confused."""
    generator = np.random.default_rng(round(share * 100))
    names = dataset.class_names
    rows = []
    for image in dataset.records(split):
        label = image.label
        first = label
        if generator.random() >= share:
            first = (label + (1 if label % 2 == 0 else -1)) % len(names)
        order = [first, *(n for n in np.roll(np.arange(len(names)), -label) if n != first)][:5]
        top = float(generator.uniform(0.35, 0.99))
        chances = [top, *((1 - top) * np.array([0.5, 0.3, 0.15, 0.05]))]
        rows.append(
            Prediction(
                image_id=image.image_id,
                true=names[label],
                answers=tuple(names[n] for n in order),
                probabilities=tuple(round(float(chance), 6) for chance in chances[: len(order)]),
            )
        )
    return Predictions(tuple(rows))
