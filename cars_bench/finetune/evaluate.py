"""`evaluate`: a finished model and its frozen head, measured on a split with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, Split
from cars_bench.errors import CacheStale, UsageError
from cars_bench.evaluation.metrics import score
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.live import LiveImages
from cars_bench.finetune.measures import compared, measures
from cars_bench.progress import Progress
from cars_bench.training.engine import logits_of
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import WINNER, head_of_trial, read_head
from cars_bench.workspace import Workspace


def evaluate(
    workspace: Workspace, model: str | None, split: Split, progress: Progress
) -> dict[str, Any]:
    """Measure a finished model again, from its files and the original images.

    Args:
        workspace: Holds dataset, cache, study and model.
        model: `STUDY/RUN`; `None` is the last one made.
        split: `val` or `test`.
        progress: Told what goes on.

    Returns:
        The document that scripts read: `frozen`, `finetuned`, `handoff`, with
        `mcnemar` (image by image) and `measures` (per class, calibration, ...).

    Raises:
        CacheStale: The dataset changed since, or its classes are not the model's.
        InputError: An image file is gone, or is not the one that was prepared.
        UsageError: The model was trained on the split.
    """
    finished = FinishedModel.open(workspace, model)
    document = finished.document
    _require_unseen(finished.folder.name, split, document["refit"])
    dataset = Dataset.load(workspace, document["dataset"]["name"])
    _require_classes(dataset, finished)
    records = dataset.records(split)
    labels = np.array([record.label for record in records], np.int64)
    # The frozen head first: a stale or missing cache shows before the long pass.
    study = Study.open(workspace, document["study"])
    cache = FeatureCache.open(workspace, document["cache_key"])
    trial = study.trial(document["trial_id"])
    head = head_of_trial(study, trial, cache, refit=document["refit"]).model()
    frozen = logits_of(head, cache.load(split).x)
    progress.log(f"Evaluating {finished.folder.name} on {len(records):,} {split} images")
    finetuned = logits_of(finished.load(), LiveImages(records, finished.image_size))
    return {
        "model": f"{study.name}/{finished.folder.name}",
        "frozen": {split: score(frozen, labels).to_json()},
        "finetuned": {split: score(finetuned, labels).to_json()},
        "handoff": document["handoff"],
        "mcnemar": compared(frozen, finetuned, labels),
        "measures": {
            "frozen": measures(frozen, labels, finished.class_names),
            "finetuned": measures(finetuned, labels, finished.class_names),
        },
    }


def evaluate_frozen(
    workspace: Workspace, name: str | None, split: Split, progress: Progress
) -> dict[str, Any]:
    """Measure a study's winner on the cached features, before anything is fine-tuned.

    Args:
        workspace: Holds dataset, cache and study.
        name: The study; `None` is the last one.
        split: `val` or `test`.
        progress: Told what goes on.

    Returns:
        As `evaluate`, with nothing about a fine-tuned model.

    Raises:
        CacheStale: The dataset changed since.
        ModelMissing: The study has no winner.
        UsageError: The winner was trained on the split.
    """
    study = Study.open(workspace, name)
    cache = FeatureCache.open(workspace, study.cache_key)
    study.require_dataset(Dataset.load(workspace, cache.manifest.dataset))
    head = read_head(study.folder / WINNER)
    _require_unseen(head.trial_id, split, bool(head.refit))
    features = cache.load(split)
    progress.log(f"Evaluating {head.trial_id} on {len(features.labels):,} {split} images")
    logits = logits_of(head.model(), features.x)
    return {
        "model": f"{study.name}/{WINNER}",
        "frozen": {split: score(logits, features.labels).to_json()},
        "finetuned": {},
        "handoff": None,
        "measures": {"frozen": measures(logits, features.labels, study.class_names)},
    }


def _require_unseen(name: str, split: Split, refit: bool) -> None:
    if refit and split == "val":
        raise UsageError(
            f"{name} was trained on the validation images too (--refit train+val), "
            "so its score on them would say nothing about new images.",
            "cars-bench evaluate --split test",
        )


def _require_classes(dataset: Dataset, finished: FinishedModel) -> None:
    if dataset.class_names == finished.class_names:
        return
    changed = sorted(set(dataset.class_names) ^ set(finished.class_names))
    raise CacheStale(
        f"The classes of {dataset.name!r} are not those of the model: "
        f"{', '.join(changed[:3]) or 'their order changed'}{' and more' if changed[3:] else ''}.",
        "evaluate on the dataset it was trained on, or finetune again",
    )
