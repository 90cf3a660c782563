"""`evaluate`: a finished model and its frozen head, measured on a split with intervals."""

from __future__ import annotations

from typing import Any

from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, Split
from cars_bench.data.pixels import LiveImages
from cars_bench.documents import to_json
from cars_bench.errors import CacheStale, UsageError
from cars_bench.evaluation.assessment import Assessment, assess
from cars_bench.evaluation.comparison import answers_changed
from cars_bench.evaluation.predictions import Predictions, predictions
from cars_bench.finetune.finished import FinishedModel
from cars_bench.progress import Progress
from cars_bench.training.engine import logits_of
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import WINNER, head_of_trial, read_head
from cars_bench.workspace import Workspace

CONFUSED = 10
"""Most frequent mistakes told."""


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
    record = finished.record
    _require_unseen(finished.folder.name, split, record.refit)
    dataset = Dataset.load(workspace, record.dataset.name)
    _require_classes(dataset, finished)
    records = dataset.records(split)
    ids = [image.image_id for image in records]
    labels = [image.label for image in records]
    # The frozen head first: a stale or missing cache shows before the long pass.
    study = Study.open(workspace, record.study)
    cache = FeatureCache.open(workspace, record.cache_key)
    trial = study.trial(record.trial_id)
    head = head_of_trial(study, trial, cache, refit=record.refit).model()
    frozen = predictions(ids, logits_of(head, cache.load(split).x), finished.class_names, labels)
    progress.log(f"Evaluating {finished.folder.name} on {len(records):,} {split} images")
    logits = logits_of(finished.load(), LiveImages(records, finished.image_size))
    finetuned = predictions(ids, logits, finished.class_names, labels)
    judged = {
        "frozen": assess(frozen, finished.class_names, dataset.card.groups),
        "finetuned": assess(finetuned, finished.class_names, dataset.card.groups),
    }
    return {
        "model": f"{study.name}/{finished.folder.name}",
        **{stage: {split: to_json(found.score)} for stage, found in judged.items()},
        "handoff": to_json(record.handoff),
        "mcnemar": _compared(frozen, finetuned),
        "measures": {stage: measures(found) for stage, found in judged.items()},
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
    dataset = Dataset.load(workspace, cache.manifest.dataset)
    study.require_dataset(dataset)
    head = read_head(study.folder / WINNER)
    _require_unseen(head.trial_id, split, bool(head.refit))
    features = cache.load(split)
    progress.log(f"Evaluating {head.trial_id} on {len(features.labels):,} {split} images")
    logits = logits_of(head.model(), features.x)
    names = study.class_names
    answers = predictions(features.image_ids, logits, names, features.labels)
    judged = assess(answers, names, dataset.card.groups)
    return {
        "model": f"{study.name}/{WINNER}",
        "frozen": {split: to_json(judged.score)},
        "finetuned": {},
        "handoff": None,
        "measures": {"frozen": measures(judged)},
    }


def measures(judged: Assessment) -> dict[str, Any]:
    """What `evaluate` tells beyond top-1 and top-5, as plain JSON values.

    Returns:
        `macro` (mean recall of the classes), `classes` (recall of each),
        `confused` (the most frequent mistakes), `calibration` (expected
        calibration error and the reliability table) and `groups` (by
        each property of the classes that the user gave or that names of cars tell).
    """
    told = judged.calibration
    return {
        "macro": to_json(judged.macro),
        "classes": [
            {"class": row.name, **to_json(row.recall), "n": row.n} for row in judged.classes
        ],
        "confused": [
            {
                "true": pair.true,
                "predicted": pair.predicted,
                "count": pair.count,
                "share": pair.share,
            }
            for pair in judged.confused[:CONFUSED]
        ],
        "calibration": {
            "expected_calibration_error": told.expected_calibration_error,
            "reliability": [to_json(row) for row in told.reliability],
        },
        "groups": {
            name: [{"group": row.group, **to_json(row.accuracy), "n": row.n} for row in rows]
            for name, rows in judged.groups.items()
        },
    }


def _compared(frozen: Predictions, finetuned: Predictions) -> dict[str, Any]:
    """McNemar's test, image by image: which images only one of the two gets right."""
    changed = answers_changed(frozen, finetuned)
    return {
        "only_frozen_right": changed.only_before,
        "only_finetuned_right": changed.only_after,
        "p_value": changed.p_value,
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
