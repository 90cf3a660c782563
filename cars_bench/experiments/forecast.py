"""What a run of an experiment would do, without doing any of it; Keras is not imported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from cars_bench.data.card import read_card
from cars_bench.errors import UsageError
from cars_bench.experiments.experiment import Experiment, Planned
from cars_bench.experiments.record import ExperimentRecord, begun_record
from cars_bench.experiments.refuse import refuse_impossible
from cars_bench.experiments.sources import Sourced
from cars_bench.progress import Progress
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
    workspace: Workspace,
    experiment: Experiment,
    source: Path | None,
    only: Collection[str] = (),
    progress: Progress | None = None,
) -> Forecast:
    """Say what a run would do; nothing is written.

    Raises:
        InputError: Nobody said where the pictures are.
        UsageError: `only` names what is no attempt, or an attempt asks what cannot be.
    """
    refuse_unknown(experiment, only)
    sourced = Sourced(experiment=experiment, path=experiment.source(source))
    refuse_impossible(experiment, progress or Progress())
    before = begun_record(workspace, experiment)
    contents = sourced.contents(workspace, before.datasets)
    record = before.of_data(contents)
    asked = [item for item in experiment.planned if not only or item.name in only]
    attempts = tuple(_ahead(workspace, sourced, record, contents, item) for item in asked)
    return Forecast(
        attempts=attempts,
        images=_images(workspace, sourced, contents),
        seconds=seconds_left(experiment, record, sum(not item.finished for item in attempts)),
        source=str(sourced.path),
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
    workspace: Workspace,
    sourced: Sourced,
    record: ExperimentRecord,
    contents: Mapping[str, str],
    wanted: Planned,
) -> AttemptAhead:
    options = wanted.features.options()
    return AttemptAhead(
        name=wanted.name,
        backbone=options.backbone,
        image_size=options.image_size,
        views=options.views,
        trials=wanted.attempt.trials if wanted.space.hyperparameters else 1,
        finetuned=wanted.finish is not None,
        finished=is_done(record, wanted),
        reused=_reused(workspace, sourced, record, contents.get(wanted.name), wanted),
    )


def _reused(
    workspace: Workspace,
    sourced: Sourced,
    record: ExperimentRecord,
    content: str | None,
    wanted: Planned,
) -> tuple[str, ...]:
    known = record.attempt(wanted.name)
    study = sourced.study(wanted, content or "")
    there = {
        "dataset": content is not None,
        "study": study in study_names(workspace),
        "run": bool(known and known.run),
    }
    return tuple(name for name, found in there.items() if found)


def _images(workspace: Workspace, sourced: Sourced, contents: Mapping[str, str]) -> int | None:
    known = (item for item in sourced.experiment.planned if item.name in contents)
    first = next(known, None)
    return read_card(workspace.dataset(sourced.dataset(first))).images if first else None
