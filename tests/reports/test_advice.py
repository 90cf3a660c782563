"""The next command for each stage a workspace can be in."""

from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.reports.advice import advise
from cars_bench.reports.overview import (
    CacheState,
    DatasetState,
    Overview,
    ReportState,
    RunState,
    StudyState,
)

DATASET = DatasetState("cars", "digest", "none", 60, 4, current=True)
CACHE = CacheState("00ff", "matches", current=True)
STUDY = StudyState("first", "00ff", planned=3, completed=3, current=True)
DONE = StudyState("first", "00ff", 3, 3, runs=(RunState("r1", 0.5, 0.6),), current=True)
REPORT = ReportState("first", "report.html", stale=False)


def overview(
    datasets: tuple[DatasetState, ...] = (DATASET,),
    caches: tuple[CacheState, ...] = (CACHE,),
    studies: tuple[StudyState, ...] = (),
    reports: tuple[ReportState, ...] = (),
) -> Overview:
    return Overview(Path(), datasets, caches, studies, reports)


@pytest.mark.parametrize(
    ("found", "command"),
    [
        (overview(datasets=()), "cars-bench prepare SOURCE"),
        (overview(caches=()), "cars-bench extract"),
        (overview(caches=(CacheState("00", "almost", current=True),)), "cars-bench extract"),
        (overview(caches=(CacheState("00", "stale", current=True),)), "cars-bench extract"),
        (overview(caches=(CacheState("00", "unfinished", current=True),)), "cars-bench extract"),
        (
            overview(caches=(CacheState("00", "corrupt", current=True),)),
            "cars-bench cache verify --repair",
        ),
        (overview(), "cars-bench tune --trials 100"),
        (overview(studies=(StudyState("x", "other"),)), "cars-bench tune --trials 100"),
        (
            overview(studies=(StudyState("x", "00ff", planned=9, completed=3, failed=1),)),
            "cars-bench tune --trials 9 --study x",
        ),
        (
            overview(studies=(StudyState("x", "00ff", planned=2, failed=2),)),
            "cars-bench tune --trials 100 --study x",
        ),
        (overview(studies=(STUDY,)), "cars-bench finetune --best --study first"),
        (overview(studies=(replace(STUDY, unfinished=("r",)),)), "cars-bench finetune --resume"),
        (overview(studies=(replace(DONE, unfinished=("r",)),)), "cars-bench report --study first"),
        (overview(studies=(DONE,)), "cars-bench report --study first"),
        (
            overview(studies=(DONE,), reports=(ReportState("first", "", stale=True),)),
            "cars-bench report --study first",
        ),
        (
            overview(studies=(DONE,), reports=(REPORT,)),
            "cars-bench report --open --study first",
        ),
    ],
)
def test_the_first_thing_that_is_missing_is_the_next_command(found: Overview, command: str) -> None:
    assert advise(found).command == command


def test_the_study_that_commands_take_by_default_goes_first() -> None:
    other = StudyState("another", "00ff", planned=5, completed=1)
    assert advise(overview(studies=(other, STUDY))).command.endswith("--study first")
