"""What a run of an experiment would do, without doing any of it; Keras is not imported."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cars_bench.data.card import prepared
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.experiments.experiment import Experiment, Planned
from cars_bench.experiments.names import dataset_name, study_name
from cars_bench.experiments.record import AttemptRecord, ExperimentRecord, begun_record
from cars_bench.tuning.study import study_names
from cars_bench.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class AttemptAhead:
    """What an attempt would do.

    Attributes:
        name: Of the attempt.
        backbone: That its features come from.
        image_size: Side of the input in pixels.
        views: Of each training image.
        trials: Of the search.
        finetuned: Its head is finished.
        finished: All of it is done already.
        reused: Stages whose result is there.
    """

    name: str
    backbone: str
    image_size: int
    views: int
    trials: int
    finetuned: bool
    finished: bool
    reused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run would do.

    Attributes:
        attempts: That were asked for.
        images: In the first dataset that is prepared already; `None` before.
        seconds: About how long, by the finished attempts, else by the config; `None` unknown.
        source: Where the pictures are.
    """

    attempts: tuple[AttemptAhead, ...]
    images: int | None
    seconds: float | None
    source: str


def forecast(
    workspace: Workspace, experiment: Experiment, source: Path | None, only: Collection[str] = ()
) -> Forecast:
    """Say what a run would do; nothing is written.

    Raises:
        InputError: Nobody said where the pictures are.
        UsageError: `only` names what is no attempt.
    """
    refuse_unknown(experiment, only)
    record = begun_record(workspace, experiment)
    asked = [item for item in experiment.planned if not only or item.name in only]
    attempts = tuple(_ahead(workspace, experiment, record, item) for item in asked)
    return Forecast(
        attempts=attempts,
        images=_images(workspace, experiment),
        seconds=_seconds(experiment, record, attempts),
        source=str(experiment.source(source)),
    )


def refuse_unknown(experiment: Experiment, only: Collection[str]) -> None:
    """Refuse a name that no attempt has.

    Raises:
        UsageError: There is one.
    """
    names = [item.name for item in experiment.planned]
    for name in only:
        if name not in names:
            raise UsageError(f"There is no attempt {name!r}.", f"--only {', '.join(names)}")


def is_done(record: ExperimentRecord, wanted: Planned) -> bool:
    """Whether an attempt was done to its end."""
    known = record.attempt(wanted.name)
    return known is not None and known.finished


def seconds_left(experiment: Experiment, record: ExperimentRecord, left: int) -> float | None:
    """About how long so many attempts take: as the finished ones did, else as the config says."""
    took = [item.wall_seconds for item in record.attempts if item.finished]
    if took:
        return sum(took) / len(took) * left
    expected = experiment.config.expected
    return 60 * expected.minutes * left / len(experiment.planned) if expected else None


def _ahead(
    workspace: Workspace, experiment: Experiment, record: ExperimentRecord, wanted: Planned
) -> AttemptAhead:
    options = wanted.features.options()
    known = record.attempt(wanted.name)
    return AttemptAhead(
        name=wanted.name,
        backbone=options.backbone,
        image_size=options.image_size,
        views=options.views,
        trials=wanted.attempt.trials if wanted.space.hyperparameters else 1,
        finetuned=wanted.finish is not None,
        finished=is_done(record, wanted),
        reused=_reused(workspace, experiment, known, wanted),
    )


def _reused(
    workspace: Workspace, experiment: Experiment, known: AttemptRecord | None, wanted: Planned
) -> tuple[str, ...]:
    prepared_names = {folder.name for folder in prepared(workspace)}
    there = {
        "dataset": dataset_name(experiment, wanted) in prepared_names,
        "study": study_name(experiment, wanted) in study_names(workspace),
        "run": bool(known and known.run),
    }
    return tuple(name for name, found in there.items() if found)


def _images(workspace: Workspace, experiment: Experiment) -> int | None:
    for wanted in experiment.planned:
        with contextlib.suppress(CarsBenchError):
            return Dataset.load(workspace, dataset_name(experiment, wanted)).card.images
    return None


def _seconds(
    experiment: Experiment, record: ExperimentRecord, attempts: tuple[AttemptAhead, ...]
) -> float | None:
    return seconds_left(experiment, record, sum(not item.finished for item in attempts))
