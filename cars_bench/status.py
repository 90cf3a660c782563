"""What a workspace holds, what of it is stale, and what to do next.

Reads cards, manifests, ledgers and records, never an image or a feature, so
that it answers in well under a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from cars_bench.cache.keys import FeatureRecipe, titles
from cars_bench.cache.matching import Match
from cars_bench.cache.matching import caches as matched_caches
from cars_bench.data.card import prepared, read_card
from cars_bench.errors import CarsBenchError, NoTrialCompleted
from cars_bench.experiments.state import ExperimentState, experiment_states
from cars_bench.finetune.reported import is_reported
from cars_bench.finetune.runs import Run, runs, unfinished
from cars_bench.tuning.leaderboard import LeaderboardRow, best_trial, leaderboard
from cars_bench.tuning.study import Study, StudyRecord, study_names
from cars_bench.workspace import Workspace

Json = dict[str, Any]
ALMOST = 2  # fields: a cache that differs in more is simply another one


@dataclass(frozen=True, kw_only=True)
class DatasetState:
    """One prepared dataset; without a digest where its card cannot be read.

    Attributes:
        current: It is the one that commands take by default.
    """

    name: str
    digest: str = ""
    crop: str = "none"
    images: int = 0
    classes: int = 0
    current: bool = False


@dataclass(frozen=True, kw_only=True)
class CacheState:
    """One feature cache.

    Attributes:
        state: `matches` the present configuration, `almost`, `other`, `stale` (its dataset
            has changed since), `unfinished` or `corrupt`.
        differs: Recipe fields in which it differs from the present configuration.
        detail: What is wrong, in one sentence; empty if nothing is.
        current: It is the one that commands take by default.
    """

    key: str
    state: str
    dataset: str = ""
    backbone: str = ""
    records: int = 0
    bytes: int = 0
    differs: tuple[str, ...] = ()
    detail: str = ""
    current: bool = False


@dataclass(frozen=True)
class RunState:
    """One fine-tuning run: test top-1 in [0, 1], `None` where it was not measured.

    `stages`: what the head and the finished model are called.
    """

    run: str
    frozen_top1: float | None
    finetuned_top1: float | None
    stages: tuple[str, ...] = ("frozen", "fine-tuned")


@dataclass(frozen=True, kw_only=True)
class StudyState:
    """One study.

    Attributes:
        planned: Trials of its budget, `None` if unknown.
        best: Validation top-1 of its winner in [0, 1]: the mean over new seeds where there are any.
        unfinished: Fine-tuning runs that were begun and not ended.
        stale: Why its results are not those of the present files; empty if they are.
        detail: What makes it unreadable; empty if it is readable.
    """

    name: str
    cache_key: str = ""
    planned: int | None = None
    completed: int = 0
    failed: int = 0
    running: int = 0
    best: float | None = None
    runs: tuple[RunState, ...] = ()
    unfinished: tuple[str, ...] = ()
    stale: str = ""
    detail: str = ""
    current: bool = False

    @property
    def option(self) -> str:
        """How a shell is given it: `--study NAME`."""
        return f"--study {quote(self.name)}"


@dataclass(frozen=True)
class ReportState:
    """One report; stale when its study is no longer the one that it was made of."""

    study: str
    path: str
    stale: bool


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Everything that `cars-bench status` says but the advice."""

    workspace: Path
    datasets: tuple[DatasetState, ...]
    caches: tuple[CacheState, ...]
    studies: tuple[StudyState, ...]
    reports: tuple[ReportState, ...]
    experiments: tuple[ExperimentState, ...] = ()

    def to_json(self) -> Json:
        """Plain data."""
        return asdict(self) | {"workspace": str(self.workspace)}


@dataclass(frozen=True)
class Advice:
    """A command, and in one sentence why."""

    command: str
    why: str


def read_overview(workspace: Workspace, here: Path | None = None) -> Overview:
    """Read what the three trays hold, and what became of experiments.

    Args:
        workspace: With trays.
        here: Folder whose `experiments/*/runs` are told of too; the workspace's own by default.

    Raises:
        InputError: The settings file is not TOML.
    """
    datasets = _datasets(workspace)
    caches = tuple(_cache(match, datasets) for match in matched_caches(workspace))
    return Overview(
        workspace=workspace.root,
        datasets=datasets,
        caches=caches,
        studies=_studies(workspace, datasets, caches),
        reports=_reports(workspace),
        experiments=experiment_states(workspace, here or workspace.root),
    )


def _current(workspace: Workspace, stage: str) -> str | None:
    """The dataset or study that commands take by default."""
    return workspace.settings().get(stage, {}).get("name")


def _datasets(workspace: Workspace) -> tuple[DatasetState, ...]:
    current = _current(workspace, "dataset")
    return tuple(
        replace(_dataset(folder), current=folder.name == current) for folder in prepared(workspace)
    )


def _dataset(folder: Path) -> DatasetState:
    try:
        card = read_card(folder)
    except CarsBenchError:  # its room says so when it is used
        return DatasetState(name=folder.name)
    return DatasetState(
        name=folder.name,
        digest=card.digest,
        crop=card.crop,
        images=card.images,
        classes=card.classes,
    )


def _cache(match: Match, datasets: tuple[DatasetState, ...]) -> CacheState:
    state = match.state
    detail = match.detail
    if match.recipe:
        changed = _changed(match.recipe, match.dataset, datasets)
        detail = f"{changed} of {match.dataset!r} changed since" if changed else ""
        state = "stale" if changed else _nearness(len(match.differences))
    return CacheState(
        key=match.key,
        state=state,
        dataset=match.dataset,
        backbone=match.backbone,
        records=match.records,
        bytes=match.bytes,
        differs=match.differences,
        detail=detail,
        current=match.current,
    )


def _nearness(differences: int) -> str:
    if not differences:
        return "matches"
    return "almost" if differences <= ALMOST else "other"


def _changed(recipe: FeatureRecipe, name: str, datasets: tuple[DatasetState, ...]) -> str:
    """What of a cache's dataset is no longer as it was, as a person reads it."""
    for dataset in datasets:
        if dataset.name == name:
            now = replace(recipe, dataset_digest=dataset.digest, crop=dataset.crop)
            return titles(recipe.differences(now))
    return ""


def _studies(
    workspace: Workspace, datasets: tuple[DatasetState, ...], caches: tuple[CacheState, ...]
) -> tuple[StudyState, ...]:
    current = _current(workspace, "study")
    states = []
    for name in study_names(workspace):
        try:
            study = Study.open(workspace, name)
            state = replace(_study(study), stale=_stale(study.record, datasets, caches))
        except CarsBenchError as error:
            state = StudyState(name=name, detail=f"cannot be read: {error.message}")
        states.append(replace(state, current=name == current))
    return tuple(states)


def _study(study: Study) -> StudyState:
    board = leaderboard(study)
    searched = [row for row in board if row.kind == "trial"]
    return StudyState(
        name=study.name,
        cache_key=study.cache_key,
        planned=study.record.budget.trials or None,
        completed=_count(searched, "completed"),
        failed=_count(searched, "failed"),
        running=_count(searched, "running"),
        best=_best(study, searched),
        runs=tuple(map(_run, runs(study))),
        unfinished=unfinished(study),
    )


def _count(rows: Sequence[LeaderboardRow], status: str) -> int:
    return sum(row.status == status for row in rows)


def _best(study: Study, rows: Sequence[LeaderboardRow]) -> float | None:
    """The score of the winner that the study recorded, or would choose now."""
    try:
        winner = study.record.winner.trial_id if study.record.winner else best_trial(study).trial_id
    except NoTrialCompleted:
        return None
    return next((row.score for row in rows if row.trial_id == winner), None)


def _stale(
    study: StudyRecord, datasets: tuple[DatasetState, ...], caches: tuple[CacheState, ...]
) -> str:
    for dataset in datasets:
        if dataset.name == study.dataset.name and dataset.digest != study.dataset.digest:
            return f"the dataset {dataset.name!r} has changed since"
    if study.cache_key not in {cache.key for cache in caches}:
        return "its cache is no longer there"
    return ""


def _run(run: Run) -> RunState:
    frozen = run.score("frozen", "test")
    finetuned = run.score("finetuned", "test")
    return RunState(
        run=run.name,
        frozen_top1=frozen.top1.value if frozen else None,
        finetuned_top1=finetuned.top1.value if finetuned else None,
        stages=tuple(run.record.stages.values()),
    )


def _reports(workspace: Workspace) -> tuple[ReportState, ...]:
    return tuple(
        _report_state(path, workspace.studies / path.parent.name)
        for path in sorted(workspace.reports.glob("*/report.html"))
    )


def _report_state(page: Path, study: Path) -> ReportState:
    told = is_reported(study, page.with_suffix(".json"))
    return ReportState(study.name, str(page), stale=not told)


def advise(overview: Overview) -> Advice:
    """Find the first thing that is missing or stale."""
    if not overview.datasets:
        return Advice("cars-bench prepare SOURCE", "no dataset has been prepared yet")
    cache = next((cache for cache in overview.caches if cache.state == "matches"), None)
    if cache is None:
        return _extract(overview)
    study = _fitting(overview, cache)
    if study is None:
        return Advice("cars-bench tune --trials 100", f"nothing was searched on {cache.key} yet")
    return _search(study) or _finish(study) or _report(overview, study)


def _extract(overview: Overview) -> Advice:
    states = {cache.state: cache for cache in overview.caches}
    for state in ("unfinished", "corrupt"):
        if state in states and states[state].current:
            command = "extract" if state == "unfinished" else "cache verify --repair"
            return Advice(f"cars-bench {command}", f"the cache {states[state].key} is {state}")
    if "stale" in states:
        return Advice("cars-bench extract", f"the cache {states['stale'].key} is stale")
    return Advice("cars-bench extract", "no cache matches the present configuration")


def _fitting(overview: Overview, cache: CacheState) -> StudyState | None:
    """The readable study on this cache that commands take by default, else the first."""
    fitting = [
        study for study in overview.studies if study.cache_key == cache.key and not study.stale
    ]
    return next((study for study in fitting if study.current), next(iter(fitting), None))


def _search(study: StudyState) -> Advice | None:
    done = study.completed + study.failed
    if study.planned is not None and done < study.planned:
        return Advice(
            f"cars-bench tune --trials {study.planned} {study.option}",
            f"{done} of {study.planned} trials are done",
        )
    if not study.completed:
        return Advice(f"cars-bench tune --trials 100 {study.option}", "no trial completed")
    return None


def _finish(study: StudyState) -> Advice | None:
    if study.runs:
        return None
    if study.unfinished:
        return Advice(
            "cars-bench finetune --resume", f"the run {study.unfinished[-1]} is not finished"
        )
    return Advice(f"cars-bench finetune --best {study.option}", "the winner is not finished")


def _report(overview: Overview, study: StudyState) -> Advice:
    report = next((report for report in overview.reports if report.study == study.name), None)
    if report is None:
        return Advice(f"cars-bench report {study.option}", "there is no report yet")
    if report.stale:
        return Advice(f"cars-bench report {study.option}", "the study went on since")
    return Advice(f"cars-bench report --open {study.option}", "everything is up to date")
