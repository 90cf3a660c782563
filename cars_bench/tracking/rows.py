"""A study as a tracker shows it: plain rows, from the ledger and the runs on disk alone.

Only what cannot change any more becomes a row: trials that have ended, since one that is
killed runs its last epochs again, and epochs of a fine-tuning run that its checkpoint holds.
So whoever reads the disk earlier or later, or twice, finds the same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cars_bench.documents import to_json
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.gain import gain_of
from cars_bench.finetune.model_card import CARD_FILE
from cars_bench.finetune.plan import FINAL, RunPlan, begun, begun_seconds, read_plan
from cars_bench.finetune.runs import STAGES, Run
from cars_bench.training.checkpoint import (
    CHECKPOINT_FILE,
    HISTORY_FILE,
    EpochResult,
    checkpoint_history,
    read_history,
)
from cars_bench.training.specs import HeadSpec, TrainingSpec, active_settings
from cars_bench.tuning.ledger import Trial, end_times
from cars_bench.tuning.stored_head import RECORD_FILE, WINNER
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace, sha256_file

Status = Literal["running", "completed", "failed"]
Parameter = str | int | float | bool

CURVES = ("train_loss", "val_loss", "val_top1", "val_iou", "learning_rate")
STUDY = "study"
REPORTED = ("report.html", "report.json")


@dataclass(frozen=True)
class Point:
    """One value of a curve, or a figure, which is a curve of one point.

    Attributes:
        name: Of the curve.
        step: Where on it; a curve has each step once.
        value: There.
        after: Seconds from the beginning of the run until it was known.
    """

    name: str
    step: int
    value: float
    after: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A study, a trial, a probe or a fine-tuning run.

    Attributes:
        study: Name of the study.
        group: Tells the study from all others of its name.
        key: Tells the run from the others of its study.
        begun: Seconds since 1970.
        status: Whether it has an end, and which.
        parameters: What it was begun with.
        points: Curves and figures.
        artifacts: Files that belong to it.
    """

    study: str
    group: str
    key: str
    begun: float
    status: Status
    parameters: Mapping[str, Parameter]
    points: Sequence[Point]
    artifacts: Sequence[Path] = ()

    def digest(self) -> str:
        """SHA-256 over the names of all rows; another one where there is more to write."""
        said = [
            self.status,
            sorted(self.parameters),
            sorted((point.name, point.step) for point in self.points),
            sorted((path.name, sha256_file(path)) for path in self.artifacts),
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def tracked_runs(workspace: Workspace, study: Study) -> Iterator[TrackedRun]:
    """All of a study that does not change any more, itself first.

    Raises:
        RecordDamaged: A document on disk is not what was written.
    """
    trials = study.trials()
    ended = end_times(study.ledger_path)
    # A trial that ended between the two readings waits for the next one.
    done = {item.trial_id: item for item in trials if item.status != "running"}
    known = {trial_id: done[trial_id] for trial_id in ended if trial_id in done}
    yield _study(workspace, study, known, ended)
    for trial_id, trial in known.items():
        yield _trial(study, trial, ended[trial_id])
    for folder in begun(study):
        yield from _run(study, folder)


def sources(workspace: Workspace, study: Study) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every file that rows may be read from; tells whether any changed."""
    found = [
        path for name in ("*.json*", f"{FINAL}/*/*") for path in sorted(study.folder.glob(name))
    ]
    return tuple(_seen(path) for path in (*found, *_study_files(workspace, study)))


def group_of(study: Study) -> str:
    """The study's name, with what tells it from another of that name elsewhere."""
    record = study.record
    said = json.dumps([record.name, record.created, record.cache_key, record.dataset.digest])
    return f"{study.name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def flat(document: Any, name: str = "") -> dict[str, Parameter]:
    """Nested plain values under dotted names; what is `None` is left out."""
    if isinstance(document, Mapping):
        items: Iterable[tuple[str, Any]] = document.items()
    elif isinstance(document, list | tuple):
        items = ((str(index), item) for index, item in enumerate(document))
    else:
        return {} if document is None else {name: document}
    return {
        key: value
        for inner, item in items
        for key, value in flat(item, f"{name}.{inner}" if name else inner).items()
    }


def _study(
    workspace: Workspace, study: Study, ended: Mapping[str, Trial], times: Mapping[str, float]
) -> TrackedRun:
    record = study.record
    parameters = _features(study) | flat(
        {
            "oracle": record.oracle,
            "seed": record.seed,
            "backend": record.backend,
            "space": record.space,
            "versions": record.versions,
        }
    )
    created = datetime.fromisoformat(record.created).timestamp()
    return TrackedRun(
        study=study.name,
        group=group_of(study),
        key=STUDY,
        begun=created,  # not its first trial: an earlier one may yet end
        status="completed" if record.winner else "running",
        parameters=parameters,
        points=[*_progress(ended, times, created), *_winner(study)],
        artifacts=_study_files(workspace, study),
    )


def _progress(
    ended: Mapping[str, Trial], times: Mapping[str, float], created: float
) -> Iterator[Point]:
    """The score of each completed trial in the order in which they ended, and the best so far."""
    best = 0.0
    scored = [item for item in ended.values() if item.kind == "trial" and item.score is not None]
    for step, item in enumerate(scored, 1):
        score = item.score or 0.0
        best = max(best, score)
        after = times[item.trial_id] - created
        yield Point("trials/val_top1", step, score, after)
        yield Point("trials/best_val_top1", step, best, after)


def _winner(study: Study) -> Iterator[Point]:
    """What the winner is worth, at the number of trials that it was chosen from."""
    winner = study.record.winner
    if winner is None or winner.candidates is None:
        return
    for name in ("score", "expected_drop", "observed_drop"):
        value = getattr(winner, name)
        if value is not None:
            yield Point(f"winner/{name}", winner.candidates, value)


def _trial(study: Study, trial: Trial, ended: float) -> TrackedRun:
    values = flat(trial.values, "values") if trial.kind == "probe" else {}
    return TrackedRun(
        study=study.name,
        group=group_of(study),
        key=trial.trial_id,
        begun=ended - trial.seconds,
        status=trial.status,
        parameters={
            **_features(study),
            **values,
            **_specs(trial.head, trial.training),
            "kind": trial.kind,
            **({"reason": trial.reason} if trial.reason else {}),
        },
        points=[*_curves(trial.epochs), *_outcome(trial), *_repeats(trial)],
    )


def _outcome(trial: Trial) -> Iterator[Point]:
    """The figures that a trial ended with."""
    names = ("score", "low", "high", "val_iou", "best_epoch", "parameters", "seconds")
    for name in names:
        value = getattr(trial, name)
        if value is not None:
            yield Point(f"final/{name}", 0, float(value), trial.seconds)


def _repeats(trial: Trial) -> Iterator[Point]:
    """The scores of its trainings again with new seeds."""
    for item in trial.repeats:
        if item.score is not None:
            yield Point("repeats/val_top1", item.repeat, item.score, trial.seconds)


def _run(study: Study, folder: Path) -> Iterator[TrackedRun]:
    """A fine-tuning run, once it has an epoch: before that it may be forgotten, name and all."""
    plan = read_plan(folder)
    try:
        run: Run | None = Run.open(folder)
    except ModelMissing:
        run = None
    epochs = run.history() if run else _epochs(folder)
    if not run and not epochs:
        return
    yield TrackedRun(
        study=study.name,
        group=group_of(study),
        key=f"{FINAL}/{plan.run}",
        begun=begun_seconds(folder),
        status="completed" if run else "running",
        parameters=_features(study) | _plan(plan) | _specs(run.record.head if run else None, None),
        points=[*_curves(epochs), *(_results(run) if run else ())],
        artifacts=_there(folder / name for name in (CARD_FILE, HISTORY_FILE)) if run else (),
    )


def _epochs(folder: Path) -> tuple[EpochResult, ...]:
    """Finished epochs of a run without a record; a checkpoint is replaced whole after each."""
    return checkpoint_history(folder / CHECKPOINT_FILE) or read_history(folder / HISTORY_FILE)


def _plan(plan: RunPlan) -> dict[str, Parameter]:
    said = {name: value for name, value in to_json(plan.recipe).items() if name != "training"}
    said |= {name: getattr(plan, name) for name in ("run", "trial_id", "warm_up", "refit", "seed")}
    steering = {"steering": [to_json(step) for step in plan.steering]}
    return flat(said | steering) | _specs(None, plan.recipe.training, whole=True)


def _results(run: Run) -> Iterator[Point]:
    """Scores of head and model on each split, and what fine-tuning gained."""
    for stage in STAGES:
        for split, score in run.scores(stage).items():
            yield from _estimate(f"{stage}/{split}_top1", score.top1)
            yield from _estimate(f"{stage}/{split}_top5", score.top5)
    for name, scores in run.record.boxes.by_stage().items():
        for split, found in scores.items():
            yield from _estimate(f"{name}/{split}_iou", found.mean_iou)
    gain = gain_of(run)
    if gain:
        yield from _estimate(f"gain/{gain.split}_top1", gain.changed.difference)
    yield Point("final/best_epoch", 0, float(run.record.best_epoch))
    yield Point("final/training_seconds", 0, run.record.training_seconds)


def _estimate(name: str, found: Estimate) -> Iterator[Point]:
    yield Point(name, 0, found.value)
    yield Point(f"{name}_low", 0, found.low)
    yield Point(f"{name}_high", 0, found.high)


def _curves(epochs: Iterable[EpochResult]) -> Iterator[Point]:
    after = 0.0
    for row in epochs:
        after += row.seconds
        for name in CURVES:
            value = getattr(row, name)
            if value is not None:
                yield Point(f"epochs/{name}", row.epoch, value, after)


def _specs(
    head: HeadSpec | None, training: TrainingSpec | None, whole: bool = False
) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    if head:
        found |= {"head": head.describe()} | flat(to_json(head), "head")
    if training:
        found |= flat(active_settings(training, whole), "training")
    return found


def _features(study: Study) -> dict[str, Parameter]:
    """What the study's features are, which every run of it has in common."""
    record = study.record
    return {
        "study": study.name,
        "dataset": record.dataset.name,
        "dataset_digest": record.dataset.digest,
        "cache_key": record.cache_key,
        "backbone": record.features.backbone,
        "pooling": record.features.pooling,
        "views": record.features.views,
    }


def _study_files(workspace: Workspace, study: Study) -> tuple[Path, ...]:
    reported = (workspace.reports / study.name / name for name in REPORTED)
    return _there((study.folder / WINNER / RECORD_FILE, *reported))


def _there(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(path for path in paths if path.is_file())


def _seen(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns
