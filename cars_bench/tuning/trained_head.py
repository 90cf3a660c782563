"""Trained heads on disk: specs, weights and the logits that bear witness.

A search keeps no weights but those of the best trial so far, where it trained
for long.  A trial is deterministic in its spec and seed, so the head of any
other is made again when it is wanted, and checked against the score that the
ledger holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench.atomic import atomic_file, atomic_path
from cars_bench.cache.store import FeatureCache, Features
from cars_bench.errors import CarsBenchError
from cars_bench.evaluation.boxes import overlap_score
from cars_bench.training.answers import EDGES, Answers
from cars_bench.training.checkpoint import TrainingState, opened_arrays
from cars_bench.training.engine import Examples, answers_of
from cars_bench.training.examples import cached_examples, training_examples
from cars_bench.training.heads import build_head
from cars_bench.training.loop import TrainingControl, overlaps, train
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.ledger import Trial
from cars_bench.tuning.stored_head import (
    WINNER,
    HeadRecord,
    StoredHead,
    again,
    discard,
    is_stored,
    stored,
)
from cars_bench.tuning.study import Study
from cars_bench.workspace import require_written, sha256_file

WEIGHTS_FILE = "head.weights.h5"
WITNESS_FILE = "witness.npz"


@dataclass(frozen=True, kw_only=True)
class TrainedHead:
    """A head with its weights and its witness.

    Attributes:
        folder: Where it is stored.
        record: What it is.
        image_ids: Validation images, N.
        labels: int64 `[N]`.
        logits: float32 `[N, C]`, what the head says of their cached features.
        boxes: float32 `[N, 4]` likewise, as shares; `None` where the head has no box.
    """

    folder: Path
    record: HeadRecord
    image_ids: list[str]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32] | None = None

    @property
    def trial_id(self) -> str:
        """The trial it was."""
        return self.record.trial_id

    @property
    def spec(self) -> HeadSpec:
        """The head."""
        return self.record.head

    @property
    def training(self) -> TrainingSpec:
        """How it was trained."""
        return self.record.training

    @property
    def class_names(self) -> list[str]:
        """Class names; the index is the label."""
        return list(self.record.class_names)

    @property
    def refit(self) -> str:
        """`train+val` when it was trained on the validation images too, else empty."""
        return self.record.refit

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one feature that it takes: `(width,)`, or height, width and channels."""
        return (*self.record.sides, self.record.width)

    @property
    def witness(self) -> Answers:
        """What it says of the cached features of the validation images."""
        return Answers(self.logits, self.boxes)

    def model(self) -> keras.Model:
        """Rebuild the head by code and load its weights.

        Raises:
            RecordDamaged: The weights file is not the one that was written.
        """
        weights = self.folder / WEIGHTS_FILE
        require_written(weights, self.record.weights_sha256, again(self.folder))
        model = build_head(self.spec, self.shape, len(self.class_names))
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
    train_set: Examples,
    val_set: Examples | None,
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
        UsageError: Convolutions on pooled features.
    """
    model = build_head(what.head, train_set.x.shape[2:], what.classes, what.seed)
    return model, train(model, what.training, train_set, val_set, what.seed, control)


def head_of_trial(study: Study, trial: Trial, cache: FeatureCache, *, refit: bool) -> TrainedHead:
    """The trained head of a trial: read if it is there, else trained again and stored.

    Args:
        study: The study.
        trial: The trial.
        cache: The study's cache.
        refit: A head that was trained on the validation images too will do.  Where
            they are still to choose or to measure by, it will not.

    Raises:
        CarsBenchError: Trained again it is worse than the interval of its score,
            or its files are damaged.
    """
    folder = study.folder / "heads" / trial.trial_id
    for place in (study.folder / WINNER, folder):
        held = stored(place)
        if held and _will_do(held.record, trial, refit):
            return read_head(place)
    return _train_and_store(study, trial, cache, folder)


def _will_do(record: HeadRecord, trial: Trial, refit: bool) -> bool:
    return record.trial_id == trial.trial_id and (refit or not record.refit)


def training_of(study: Study, trial: Trial) -> HeadTraining:
    """What a trial trains."""
    return HeadTraining(
        head=trial.head or HeadSpec(),
        training=trial.training or TrainingSpec(),
        classes=len(study.class_names),
        seed=study.trial_seed,
    )


def store_winner(
    study: Study,
    trial: Trial,
    cache: FeatureCache,
    refit: str = "",
    start: TrainingState | None = None,
) -> TrainedHead:
    """Make `winner/` hold the head of this trial.

    Args:
        study: The study.
        trial: The trial.
        cache: The study's cache.
        refit: Empty, or `train+val`: trained on both for the epochs that were
            best for the trial, without choosing again.
        start: Where the trial's training stood; no epoch is trained twice.
    """
    folder = study.folder / WINNER
    if is_stored(folder, trial.trial_id, refit):
        return read_head(folder)
    return _train_and_store(study, trial, cache, folder, refit, start)


def read_head(folder: Path) -> TrainedHead:
    """Read a stored head.

    Raises:
        ModelMissing: There is none.
        RecordDamaged: Its record or its witness is not what was written.
    """
    record = StoredHead.open(folder).record
    path = folder / WITNESS_FILE
    require_written(path, record.tables.get(WITNESS_FILE), again(folder))
    with opened_arrays(path, again(folder)) as witness:
        arrays = _witness_arrays(record, witness)
    return TrainedHead(
        folder=folder,
        record=record,
        image_ids=[str(item) for item in arrays.pop("image_ids")],
        **arrays,
    )


def _witness_arrays(
    record: HeadRecord, witness: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """What a witness holds.

    Raises:
        ValueError: It is not what a head of this record says.
    """
    images = len(witness["image_ids"])
    wanted = {
        "image_ids": (images,),
        "labels": (images,),
        "logits": (images, len(record.class_names)),
    } | ({"boxes": (images, EDGES)} if record.head.box else {})
    arrays = {name: witness[name] for name in wanted}
    shapes = {name: item.shape for name, item in arrays.items()}
    if shapes != wanted:
        raise ValueError(f"its shapes are {shapes}")
    said = [arrays["logits"], *(arrays[name] for name in wanted if name == "boxes")]
    if not all(np.isfinite(numbers).all() for numbers in said):
        raise ValueError("a logit or a box is not finite")
    return arrays


def _train_and_store(
    study: Study,
    trial: Trial,
    cache: FeatureCache,
    folder: Path,
    refit: str = "",
    start: TrainingState | None = None,
) -> TrainedHead:
    what = training_of(study, trial)
    train_set = training_examples(cache, box=what.head.box, refit=bool(refit))
    val_set = cached_examples(cache, "val", what.head.box)
    if refit:
        control = TrainingControl(stop_after=trial.best_epoch)
        model, state = train_head(what, train_set, None, control)
    else:
        model, state = train_head(what, train_set, val_set, TrainingControl(start=start))
    if not refit and trial.low is not None and state.best_top1 < trial.low:
        raise CarsBenchError(
            f"The head of {trial.trial_id} trained again scores {state.best_top1:.1%} on "
            f"validation, below the interval of its {trial.score:.1%} in the search.",
            "run again with the KERAS_BACKEND of the search, or search again",
        )
    discard(folder)
    said = _write_weights_and_witness(folder, model, cache.load("val"))
    told = overlaps(said, val_set)
    record = HeadRecord(
        trial_id=trial.trial_id,
        study=study.name,
        head=what.head,
        training=what.training,
        refit=refit,
        score=None if refit else state.best_top1,
        ledger_score=trial.score,
        best_epoch=state.best_epoch,
        width=cache.manifest.shape[-1],
        sides=cache.manifest.shape[:-1],
        class_names=tuple(study.class_names),
        cache_key=cache.key,
        dataset=study.record.dataset,
        weights_sha256=sha256_file(folder / WEIGHTS_FILE),
        tables={WITNESS_FILE: sha256_file(folder / WITNESS_FILE)},
        boxes=None if refit or told is None else overlap_score(told),
    )
    StoredHead(folder, record).write()
    return read_head(folder)


def _write_weights_and_witness(folder: Path, model: keras.Model, val: Features) -> Answers:
    """Write both, and give what the witness says."""
    said = answers_of(model, val.x)
    boxes: dict[str, Any] = {} if said.boxes is None else {"boxes": said.boxes}
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        model.save_weights(temporary)
    with atomic_file(folder / WITNESS_FILE) as stream:
        ids = np.array(val.image_ids)
        np.savez(stream, image_ids=ids, labels=val.labels, logits=said.logits, **boxes)
    return said
