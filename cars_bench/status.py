"""What a workspace holds, what of it is stale, and what to do next.

Reads cards, manifests, ledgers and records, never an image or a feature, so
that it answers in well under a second.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cars_bench.cache.keys import FeatureRecipe, titles
from cars_bench.cache.matching import Match
from cars_bench.cache.matching import caches as matched_caches
from cars_bench.data.card import CARD_FILE, read_card
from cars_bench.errors import CarsBenchError
from cars_bench.tuning.ledger import Trial, read_trials
from cars_bench.workspace import Workspace

Json = dict[str, Any]
ALMOST = 2  # fields: a cache that differs in more is simply another one


@dataclass(frozen=True)
class DatasetState:
    """One prepared dataset.

    Attributes:
        current: It is the one that commands take by default.
    """

    name: str
    digest: str
    crop: str
    images: int
    classes: int
    current: bool


@dataclass(frozen=True)
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
    """One fine-tuning run: test top-1 in [0, 1], `None` where it was not measured."""

    run: str
    frozen_top1: float | None
    finetuned_top1: float | None


@dataclass(frozen=True)
class StudyState:
    """One study.

    Attributes:
        planned: Trials of its budget, `None` if unknown.
        best: Best validation top-1 of its trials in [0, 1].
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


@dataclass(frozen=True)
class ReportState:
    """One report; stale when its study went on after it was written."""

    study: str
    path: str
    stale: bool


@dataclass(frozen=True)
class Overview:
    """Everything that `cars-bench status` says but the advice."""

    workspace: Path
    datasets: tuple[DatasetState, ...]
    caches: tuple[CacheState, ...]
    studies: tuple[StudyState, ...]
    reports: tuple[ReportState, ...]

    def to_json(self) -> Json:
        """Plain data."""
        return asdict(self) | {"workspace": str(self.workspace)}


@dataclass(frozen=True)
class Advice:
    """A command, and in one sentence why."""

    command: str
    why: str


def read_overview(workspace: Workspace) -> Overview:
    """Read what the three trays hold.

    Raises:
        InputError: The settings file is not TOML.
    """
    settings = workspace.settings()
    datasets = _datasets(workspace, settings)
    caches = tuple(_cache(match, datasets) for match in matched_caches(workspace))
    return Overview(
        workspace.root,
        datasets,
        caches,
        _studies(workspace, settings, datasets, caches),
        _reports(workspace),
    )


def _datasets(workspace: Workspace, settings: Json) -> tuple[DatasetState, ...]:
    current = settings.get("dataset", {}).get("name")
    states = []
    for path in sorted(workspace.datasets.glob(f"*/{CARD_FILE}")):
        name = path.parent.name
        states.append(replace(_dataset(path.parent), name=name, current=name == current))
    return tuple(states)


def _dataset(folder: Path) -> DatasetState:
    try:
        card = read_card(folder)
    except CarsBenchError:  # its room says so when it is used
        return DatasetState("", "", "none", 0, 0, False)
    return DatasetState("", card.digest, card.crop, card.images, card.classes, False)


def _cache(match: Match, datasets: tuple[DatasetState, ...]) -> CacheState:
    state, detail = match.state, match.detail
    if match.recipe:
        changed = _changed(match.recipe, match.dataset, datasets)
        detail = f"{changed} of {match.dataset!r} changed since" if changed else ""
        state = "stale" if changed else _nearness(len(match.differences))
    facts = (match.dataset, match.backbone, match.records, match.bytes)
    return CacheState(match.key, state, *facts, match.differences, detail, match.current)


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
    workspace: Workspace,
    settings: Json,
    datasets: tuple[DatasetState, ...],
    caches: tuple[CacheState, ...],
) -> tuple[StudyState, ...]:
    current = settings.get("study", {}).get("name")
    folders = [path.parent for path in sorted(workspace.studies.glob("*/study.json"))]
    return tuple(_study(folder, datasets, caches, folder.name == current) for folder in folders)


def _study(
    folder: Path,
    datasets: tuple[DatasetState, ...],
    caches: tuple[CacheState, ...],
    current: bool,
) -> StudyState:
    try:
        document = json.loads((folder / "study.json").read_bytes())
        trials = read_trials(folder / "ledger.jsonl")
    except (CarsBenchError, ValueError, KeyError) as error:
        return StudyState(folder.name, detail=f"cannot be read: {error}", current=current)
    searched = [trial for trial in trials if trial.kind == "trial"]
    return StudyState(
        folder.name,
        cache_key=str(document.get("cache_key", "")),
        planned=document.get("budget", {}).get("trials"),
        completed=_count(searched, "completed"),
        failed=_count(searched, "failed"),
        running=_count(searched, "running"),
        best=max((trial.score for trial in searched if trial.score is not None), default=None),
        runs=tuple(_run(path) for path in sorted(folder.glob("final/*/run.json"))),
        unfinished=_unfinished(folder),
        stale=_stale_study(document, datasets, caches),
        current=current,
    )


def _count(trials: list[Trial], status: str) -> int:
    return sum(trial.status == status for trial in trials)


def _stale_study(
    study: Json, datasets: tuple[DatasetState, ...], caches: tuple[CacheState, ...]
) -> str:
    recorded = study.get("dataset", {})
    for dataset in datasets:
        if dataset.name == recorded.get("name") and dataset.digest != recorded.get("digest"):
            return f"the dataset {dataset.name!r} has changed since"
    if study.get("cache_key") not in {cache.key for cache in caches}:
        return "its cache is no longer there"
    return ""


def _unfinished(folder: Path) -> tuple[str, ...]:
    plans = sorted(folder.glob("final/*/plan.json"))
    return tuple(plan.parent.name for plan in plans if not plan.with_name("run.json").is_file())


def _run(path: Path) -> RunState:
    record = _json(path)
    scores = (_test_top1(record.get(stage)) for stage in ("frozen", "finetuned"))
    return RunState(path.parent.name, *scores)


def _test_top1(scores: Json | None) -> float | None:
    value = ((scores or {}).get("test") or {}).get("top1", {}).get("value")
    return None if value is None else float(value)


def _reports(workspace: Workspace) -> tuple[ReportState, ...]:
    return tuple(
        ReportState(path.parent.name, str(path), _older(path, workspace.studies / path.parent.name))
        for path in sorted(workspace.reports.glob("*/report.html"))
    )


def _older(report: Path, study: Path) -> bool:
    written = report.stat().st_mtime
    sources = [study / "ledger.jsonl", *study.glob("final/*/run.json")]
    return any(path.stat().st_mtime > written for path in sources if path.is_file())


def _json(path: Path) -> Json:
    """A JSON object; empty if the file does not hold one (its room says so when it is used)."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


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
            f"cars-bench tune --trials {study.planned} --study {study.name}",
            f"{done} of {study.planned} trials are done",
        )
    if not study.completed:
        return Advice(f"cars-bench tune --trials 100 --study {study.name}", "no trial completed")
    return None


def _finish(study: StudyState) -> Advice | None:
    if study.runs:
        return None
    if study.unfinished:
        return Advice(
            "cars-bench finetune --resume", f"the run {study.unfinished[-1]} is not finished"
        )
    return Advice(f"cars-bench finetune --best --study {study.name}", "the winner is not finished")


def _report(overview: Overview, study: StudyState) -> Advice:
    report = next((report for report in overview.reports if report.study == study.name), None)
    if report is None:
        return Advice(f"cars-bench report --study {study.name}", "there is no report yet")
    if report.stale:
        return Advice(f"cars-bench report --study {study.name}", "the study went on since")
    return Advice(f"cars-bench report --open --study {study.name}", "everything is up to date")
