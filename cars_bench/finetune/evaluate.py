"""`evaluate`: a finished model and its frozen head, measured on a split with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, Split
from cars_bench.data.pixels import LiveImages
from cars_bench.documents import to_json
from cars_bench.errors import CacheStale, UsageError
from cars_bench.evaluation.assessment import Assessment, assess
from cars_bench.evaluation.boxes import BoxScore, box_score
from cars_bench.evaluation.calibration import Temperature, fitted_temperature
from cars_bench.evaluation.comparison import answers_changed
from cars_bench.evaluation.predictions import Predictions, score_of
from cars_bench.finetune.artifacts import answers_table
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.gain import gain_in
from cars_bench.finetune.model_card import write_card
from cars_bench.finetune.run_record import BoxScores, RunBoxes, RunRecord, stage_names
from cars_bench.finetune.runs import FINETUNED, FROZEN, MEASURED, Run, Stage
from cars_bench.progress import Progress
from cars_bench.training.engine import answers_of
from cars_bench.tuning.stored_head import WINNER, StoredHead
from cars_bench.tuning.study import Study
from cars_bench.tuning.trained_head import head_of_trial, read_head
from cars_bench.workspace import LockHeld, Workspace, locked

CONFUSED = 10
"""Most frequent mistakes told."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run's head and model said of the images of a split.

    Attributes:
        split: `val` or `test`.
        answers: By stage.
        logits: Of the finished model, [N, C].
        labels: int [N].
        boxes: How good the boxes are, by stage; `None` where there are none.
    """

    split: Split
    answers: Mapping[Stage, Predictions]
    logits: np.ndarray
    labels: np.ndarray
    boxes: Mapping[Stage, BoxScore | None]


def evaluate_either(
    workspace: Workspace, model: str | None, study: str | None, split: Split, progress: Progress
) -> dict[str, Any]:
    """Measure the model or the study that is named; by default the last model.

    Where nothing was fine-tuned yet it is the last study's winner.

    Raises:
        UsageError: Both are named, or a split that is not measured.
        As `evaluate` and `evaluate_frozen`.
    """
    if model and study:
        raise UsageError("--model and --study exclude each other.", "give one of them")
    if split not in MEASURED:
        raise UsageError(f"Models are not measured on {split!r}.", "--split val or --split test")
    if study or (model is None and "model" not in workspace.settings()):
        return evaluate_frozen(workspace, study, split, progress)
    return evaluate(workspace, model, split, progress)


def evaluate(
    workspace: Workspace, model: str | None, split: Split, progress: Progress
) -> dict[str, Any]:
    """Measure a finished model again, from its files and the original images.

    What it answers is kept beside it, where it is not kept yet; a split that its record
    does not hold yet is added to it.

    Args:
        workspace: Holds dataset, cache, study and model.
        model: `STUDY/RUN`; `None` is the last one made.
        split: `val` or `test`.
        progress: Told what goes on.

    Returns:
        The document that scripts read: `frozen`, `finetuned`, `handoff`, with `mcnemar`
        (image by image), `gain` (whether fine-tuning paid, by the split that decides it),
        `measures` (per class, calibration, ...) and `temperature`.

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
    names = finished.class_names
    frozen = answers_table(dataset, ids, answers_of(head, cache.load(split).x), names, labels)
    progress.log(f"Evaluating {finished.folder.name} on {len(records):,} {split} images")
    said = answers_of(finished.load(), LiveImages(records, finished.image_size))
    finetuned = answers_table(dataset, ids, said, names, labels)
    answers: dict[Stage, Predictions] = {FROZEN: frozen, FINETUNED: finetuned}
    judged = {
        stage: assess(found, finished.class_names, dataset.card.groups)
        for stage, found in answers.items()
    }
    asked = Asked(
        split=split,
        answers=answers,
        logits=said.logits,
        labels=np.array(labels),
        boxes={stage: box_score(found, dataset.object_boxes) for stage, found in answers.items()},
    )
    run = _measured(finished.run, asked)
    if dataset.digest == record.dataset.digest:
        _keep(finished.run, asked, progress)
    return {
        "model": f"{study.name}/{finished.folder.name}",
        "stages": record.stages,
        **{stage: {split: to_json(found.score)} for stage, found in judged.items()},
        "handoff": to_json(record.handoff),
        "mcnemar": _compared(frozen, finetuned),
        "gain": _gained(run, asked),
        "measures": {stage: measures(found) for stage, found in judged.items()},
        "temperature": _temperature_said(run.record.temperature, split),
        "boxes": {
            stage: {split: to_json(found)} if found else {} for stage, found in asked.boxes.items()
        },
    }


def evaluate_frozen(
    workspace: Workspace, name: str | None, split: Split, progress: Progress
) -> dict[str, Any]:
    """Measure a study's winner on the cached features, before anything is fine-tuned.

    What it answers is kept beside it.

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
    said = answers_of(head.model(), features.x)
    names = study.class_names
    answers = answers_table(dataset, features.image_ids, said, names, features.labels.tolist())
    boxes = box_score(answers, dataset.object_boxes)
    judged = assess(answers, names, dataset.card.groups)
    _keep_answers(study, StoredHead(head.folder, head.record), split, answers, progress)
    return {
        "model": f"{study.name}/{WINNER}",
        "stages": stage_names(cache.recipe.backbone),
        "frozen": {split: to_json(judged.score)},
        "finetuned": {},
        "handoff": None,
        "measures": {"frozen": measures(judged)},
        "boxes": {"frozen": {split: to_json(boxes)} if boxes else {}, "finetuned": {}},
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


def _measured(run: Run, asked: Asked) -> Run:
    """The run with the scores of a split that its record lacks, and what its temperature does."""
    new = {
        stage: run.scores(stage)
        | ({} if run.score(stage, asked.split) else {asked.split: score_of(found)})
        for stage, found in asked.answers.items()
    }
    return replace(
        run,
        record=replace(
            run.record,
            frozen=new[FROZEN],
            finetuned=new[FINETUNED],
            temperature=_temperature(run.record, asked),
            boxes=run.record.boxes.joined(_boxes(asked)),
        ),
    )


def _boxes(asked: Asked) -> RunBoxes:
    found: dict[Stage, BoxScores] = {
        stage: {asked.split: judged} for stage, judged in asked.boxes.items() if judged
    }
    return RunBoxes(frozen=found.get(FROZEN, {}), finetuned=found.get(FINETUNED, {}))


def _temperature(record: RunRecord, asked: Asked) -> Temperature | None:
    """The run's own, else fitted here on validation images; with what it does on the split."""
    if record.temperature is None:
        fit = asked.split == "val"
        return fitted_temperature(asked.logits, asked.labels) if fit else None
    if asked.split in record.temperature.after:
        return record.temperature
    return record.temperature.measured(asked.split, asked.logits, asked.labels)


def _temperature_said(temperature: Temperature | None, split: Split) -> dict[str, Any] | None:
    """As scripts read it: its value, and the calibration error on the split with it."""
    after = temperature.after.get(split) if temperature else None
    if temperature is None or after is None:
        return None
    return {
        "value": temperature.value,
        "fitted_on": temperature.images,
        "expected_calibration_error": after.expected_calibration_error,
    }


def _keep(run: Run, asked: Asked, progress: Progress) -> None:
    """Write the tables of predictions that are missing, and the record if it holds more now.

    The record is read again: another process may have added to it, or trained the run anew,
    while this one asked the model.
    """
    try:
        with locked(run.folder / ".lock", f"Run {run.name}"):
            before = Run.open(run.folder)
            if before.record.sha256 != run.record.sha256:
                return
            now = _measured(before, asked)
            for stage, found in asked.answers.items():
                now = now.with_predictions(stage, asked.split, found)
            if now != before:
                write_card(now)
                now.write()
    except (LockHeld, OSError) as error:
        said = f"the predictions cannot be kept in {run.folder}: {_reason(error)}"
        progress.log(f"warning: {said}")


def _keep_answers(
    study: Study, head: StoredHead, split: Split, answers: Predictions, progress: Progress
) -> None:
    """Keep what a head answered, unless a search is about to put another one in its place."""
    try:
        with locked(study.folder / ".lock", f"A search on study {study.name!r}"):
            if StoredHead.open(head.folder) == head:
                head.keep_answers(split, answers)
    except (LockHeld, OSError) as error:
        said = f"the answers cannot be kept in {head.folder}: {_reason(error)}"
        progress.log(f"warning: {said}")


def _reason(error: LockHeld | OSError) -> str | None:
    return error.message if isinstance(error, LockHeld) else error.strerror


def _compared(frozen: Predictions, finetuned: Predictions) -> dict[str, Any]:
    """McNemar's test, image by image: which images only one of the two gets right."""
    changed = answers_changed(frozen, finetuned)
    return {
        "only_frozen_right": changed.only_before,
        "only_finetuned_right": changed.only_after,
        "p_value": changed.p_value,
    }


def _gained(run: Run, asked: Asked) -> dict[str, Any] | None:
    """Whether fine-tuning paid, by these answers and those kept; `None` where nothing trained."""
    now = {(stage, asked.split): found for stage, found in asked.answers.items()}
    gain = gain_in(run.answers() | now) if run.record.epochs else None
    if gain is None:
        return None
    return {
        "split": gain.split,
        "paid": gain.paid,
        "recommended": gain.recommended,
        "said": gain.advice,
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
