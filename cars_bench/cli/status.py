"""`cars-bench status`: what exists, what is stale, the next command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.progress import size

if TYPE_CHECKING:
    from cars_bench.experiments.state import ExperimentState
    from cars_bench.status import CacheState, Overview, StudyState


@command(
    app,
    "status",
    "cars-bench status",
    "cars-bench status --workspace birds/ --json",
)
def status(session: Session) -> Document:
    """Say what exists, what is stale, and the next command."""
    from cars_bench.status import advise, read_overview

    overview = read_overview(session.workspace, Path.cwd())
    advice = advise(overview)
    for line in _lines(overview):
        session.say(line)
    session.say(f"next: {advice.command}  ({advice.why})")
    return overview.to_json() | {"next": {"command": advice.command, "why": advice.why}}


def _lines(overview: Overview) -> Iterator[str]:
    yield f"workspace {overview.workspace}  (* is what commands take by default)"
    yield from _section("datasets", [
        f"{_star(item.current)} {item.name}: {item.images:,} images of {item.classes:,} classes, "
        f"crop {item.crop}"
        for item in overview.datasets
    ])  # fmt: skip
    yield from _section("caches", [_cache_line(item) for item in overview.caches])
    yield from _section("studies", [line for item in overview.studies for line in _study(item)])
    yield from _section("reports", [
        f"  {item.path}{': stale, its study went on since' if item.stale else ''}"
        for item in overview.reports
    ])  # fmt: skip
    yield from _section("experiments", list(map(_experiment, overview.experiments)))


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else [f"{title}: none"]


def _cache_line(cache: CacheState) -> str:
    from cars_bench.cache.keys import titles

    head = f"{_star(cache.current)} {cache.key}"
    if cache.backbone:
        head += (
            f": {cache.backbone} on {cache.dataset}, {cache.records:,} records, {size(cache.bytes)}"
        )
    said = {
        "matches": "matches the present configuration",
        "almost": f"almost matches; differs in {titles(list(cache.differs))}",
        "other": f"differs in {titles(list(cache.differs))}",
        "stale": f"STALE: {cache.detail}",
        "unfinished": "unfinished; extract goes on with it",
        "corrupt": f"CORRUPT: {cache.detail}",
    }
    return f"{head}: {said[cache.state]}"


def _study(study: StudyState) -> Iterator[str]:
    head = f"{_star(study.current)} {study.name}: "
    if study.detail:
        yield head + study.detail
        return
    planned = "" if study.planned is None else f" of {study.planned}"
    best = "" if study.best is None else f", winner's validation top-1 {study.best:.1%}"
    failed = f", {study.failed} failed" if study.failed else ""
    stale = f": STALE, {study.stale}" if study.stale else ""
    yield f"{head}{study.completed}{planned} trials completed{failed}{best}{stale}"
    for run in study.runs:
        scores = (_share(run.frozen_top1), _share(run.finetuned_top1))
        said = ", ".join(" ".join(pair) for pair in zip(scores, run.stages, strict=True))
        yield f"    {run.run}: test top-1 {said}"
    for name in study.unfinished:
        yield f"    {name}: unfinished; the same finetune command goes on with it"


def _experiment(item: ExperimentState) -> str:
    if item.detail:
        return f"  {item.name}: {item.detail}"
    lacking = f", {item.lacking} without weights" if item.lacking else ""
    chosen = f", chosen {item.chosen}" if item.chosen else ""
    done = f"{item.finished} of {item.planned} attempts finished{lacking}{chosen}"
    return f"  {item.name} with {item.backbone}: {done}; next: {item.next}"


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1%}"


def _star(current: bool) -> str:
    return "*" if current else " "
