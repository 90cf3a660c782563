"""The next command: what a workspace lacks first on the way to a report."""

from __future__ import annotations

from dataclasses import dataclass

from cars_bench.reports.overview import CacheState, Overview, StudyState


@dataclass(frozen=True)
class Advice:
    """A command, and in one sentence why."""

    command: str
    why: str


def advise(overview: Overview) -> Advice:
    """Find the first thing that is missing or stale."""
    if not overview.datasets:
        return Advice("cars-bench prepare SOURCE", "no dataset has been prepared yet")
    cache = next((cache for cache in overview.caches if cache.state == "matches"), None)
    if cache is None:
        return _extract(overview)
    study = _study(overview, cache)
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


def _study(overview: Overview, cache: CacheState) -> StudyState | None:
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
