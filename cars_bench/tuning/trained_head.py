"""Trained heads on disk: specs, weights and the logits that bear witness.

A search keeps no weights.  A trial is deterministic in its spec and seed, so
the head of any trial is made again when it is wanted, and checked against the
score that the ledger holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench import SCHEMA_VERSION
from cars_bench.cache.store import FeatureCache, Features
from cars_bench.documents import from_json, to_json
from cars_bench.errors import CarsBenchError, ModelMissing
from cars_bench.training.checkpoint import TrainingState
from cars_bench.training.engine import Examples, logits_of
from cars_bench.training.heads import build_head
from cars_bench.training.loop import TrainingControl, train
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.study import Study
from cars_bench.workspace import NPZ_DAMAGE, atomic_file, atomic_path, sha256_file, write_json

WINNER = "winner"
SPEC_FILE, WEIGHTS_FILE, WITNESS_FILE = "winner.json", "head.weights.h5", "witness.npz"


@dataclass(frozen=True)
class TrainedHead:
    """A head with its weights and its witness.

    Attributes:
        folder: Where it is stored.
        trial_id: The trial it was.
        spec: The head.
        training: How it was trained.
        class_names: Index is the label.
        image_ids: Validation images, N.
        labels: int64 `[N]`.
        logits: float32 `[N, C]`, what the head says of their cached features.
        document: `winner.json`.
    """

    folder: Path
    trial_id: str
    spec: HeadSpec
    training: TrainingSpec
    class_names: list[str]
    image_ids: list[str]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    document: dict[str, Any]

    @property
    def refit(self) -> str:
        """`train+val` when it was trained on the validation images too, else empty."""
        return str(self.document.get("refit", ""))

    @property
    def width(self) -> int:
        """Width of the features it takes."""
        return int(self.document["width"])

    def model(self) -> keras.Model:
        """Rebuild the head by code and load its weights.

        Raises:
            CarsBenchError: The weights file is not the one that was written.
        """
        weights = self.folder / WEIGHTS_FILE
        if sha256_file(weights) != self.document["weights_sha256"]:
            raise CarsBenchError(
                f"{weights} is damaged: its digest is not the recorded one.",
                f"delete {self.folder} and run the command again",
            )
        model = build_head(self.spec, self.width, len(self.class_names))
        model.load_weights(weights)
        return model


@dataclass(frozen=True)
class HeadTraining:
    """All that decides what a head becomes on given features.

    Attributes:
        head: The head.
        training: Its training.
        classes: Number of classes.
        seed: Of kernels, dropout, order and views.
    """

    head: HeadSpec
    training: TrainingSpec
    classes: int
    seed: int


def train_head(
    what: HeadTraining,
    train_set: Features,
    val_set: Features | None,
    control: TrainingControl | None = None,
) -> tuple[keras.Model, TrainingState]:
    """Train one head on cached features; the one way in which it is done.

    Args:
        what: The head and its training.
        train_set: Training features.
        val_set: Validation features; `None` keeps the last epoch.
        control: As for `train`.

    Returns:
        The head at its best epoch, and its training.

    Raises:
        TrialFailed: The loss is not finite.
    """
    model = build_head(what.head, int(train_set.x.shape[-1]), what.classes, what.seed)
    validation = Examples(val_set.x, val_set.labels) if val_set else None
    examples = Examples(train_set.x, train_set.labels)
    return model, train(model, what.training, examples, validation, what.seed, control)


def head_of_trial(study: Study, record: Trial, cache: FeatureCache, *, refit: bool) -> TrainedHead:
    """The trained head of a trial: read if it is there, else trained again and stored.

    Args:
        study: The study.
        record: The trial.
        cache: The study's cache.
        refit: A head that was trained on the validation images too will do.  Where
            they are still to choose or to measure by, it will not.

    Raises:
        CarsBenchError: Trained again it is worse than the interval of its score,
            or its files are damaged.
    """
    folder = study.folder / "heads" / record.trial_id
    for place in (study.folder / WINNER, folder):
        if not (place / SPEC_FILE).is_file():
            continue
        held = _spec(place)
        if held["trial_id"] == record.trial_id and (refit or not held.get("refit")):
            return read_head(place)
    return _train_and_store(study, record, cache, folder)


def store_winner(study: Study, record: Trial, cache: FeatureCache, refit: str = "") -> TrainedHead:
    """Make `winner/` hold the head of this trial.

    Args:
        study: The study.
        record: The trial.
        cache: The study's cache.
        refit: Empty, or `train+val`: trained on both for the epochs that were
            best for the trial, without choosing again.
    """
    folder = study.folder / WINNER
    if (folder / SPEC_FILE).is_file():
        held = _spec(folder)
        if (held["trial_id"], held.get("refit", "")) == (record.trial_id, refit):
            return read_head(folder)
    return _train_and_store(study, record, cache, folder, refit)


def read_head(folder: Path) -> TrainedHead:
    """Read a stored head.

    Raises:
        ModelMissing: There is none.
        CarsBenchError: The witness is damaged.
    """
    if not (folder / SPEC_FILE).is_file():
        raise ModelMissing(f"There is no trained head in {folder}.", "cars-bench tune --trials 100")
    document = _spec(folder)
    try:
        with np.load(folder / WITNESS_FILE, allow_pickle=False) as witness:
            ids, labels, logits = (witness[key] for key in ("image_ids", "labels", "logits"))
    except NPZ_DAMAGE as error:
        raise CarsBenchError(
            f"{folder / WITNESS_FILE} is damaged ({error}).",
            f"delete {folder} and run the command again",
        ) from error
    return TrainedHead(
        folder,
        document["trial_id"],
        from_json(HeadSpec, document["head"]),
        from_json(TrainingSpec, document["training"]),
        document["class_names"],
        [str(item) for item in ids],
        labels,
        logits,
        document,
    )


def _spec(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / SPEC_FILE).read_text(encoding="utf-8")))


def _train_and_store(
    study: Study, record: Trial, cache: FeatureCache, folder: Path, refit: str = ""
) -> TrainedHead:
    head = record.head or HeadSpec()
    training = record.training or TrainingSpec()
    train_set, val_set = cache.load("train"), cache.load("val")
    what = HeadTraining(head, training, len(study.class_names), study.trial_seed)
    if refit:
        both, control = joined(train_set, val_set), TrainingControl(stop_after=record.best_epoch)
        model, position = train_head(what, both, None, control)
    else:
        model, position = train_head(what, train_set, val_set)
    if not refit and record.low is not None and position.best_top1 < record.low:
        raise CarsBenchError(
            f"The head of {record.trial_id} trained again scores {position.best_top1:.4f} on "
            f"validation, below the interval of its {record.score:.4f} in the search.",
            "run again with the KERAS_BACKEND of the search, or search again",
        )
    logits = logits_of(model, val_set.x)
    (folder / SPEC_FILE).unlink(missing_ok=True)
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        model.save_weights(temporary)
    with atomic_file(folder / WITNESS_FILE) as stream:
        ids = np.array(val_set.image_ids)
        np.savez(stream, image_ids=ids, labels=val_set.labels, logits=logits)
    write_json(
        folder / SPEC_FILE,
        {
            "schema_version": SCHEMA_VERSION,
            "trial_id": record.trial_id,
            "study": study.name,
            "head": to_json(head),
            "training": to_json(training),
            "refit": refit,
            "score": None if refit else position.best_top1,
            "ledger_score": record.score,
            "best_epoch": position.best_epoch,
            "width": int(val_set.x.shape[-1]),
            "class_names": study.class_names,
            "cache_key": cache.key,
            "dataset": study.document["dataset"],
            "weights_sha256": sha256_file(folder / WEIGHTS_FILE),
        },
    )
    return read_head(folder)


def joined(train_set: Features, val_set: Features) -> Features:
    """Both splits as one; the validation images, stored once, stand in for all their views."""
    first, second = np.asarray(train_set.x), np.asarray(val_set.x)
    repeated = np.broadcast_to(second[:, :1], (len(second), *first.shape[1:]))
    return Features(
        [*train_set.image_ids, *val_set.image_ids],
        np.concatenate([train_set.labels, val_set.labels]),
        np.concatenate([first, repeated]),
    )
