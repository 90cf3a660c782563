"""What `status` reads: states of caches, studies, runs and reports.

Covers cars_bench/finetune/reported.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars_bench.atomic import write_text
from cars_bench.cache import testing
from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import Manifest
from cars_bench.data.card import write_card
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.finetune.runs import Run, runs
from cars_bench.reports.page import build_report
from cars_bench.status import (
    CacheState,
    DatasetState,
    Overview,
    ReportState,
    RunState,
    StudyState,
    advise,
    read_overview,
)
from cars_bench.tuning.ledger import Ledger, Repeat, Trial, TrialOutcome
from cars_bench.tuning.ranking import pack
from cars_bench.tuning.study import (
    Budget,
    DatasetReference,
    FeatureSummary,
    Study,
    StudyRecord,
    Winner,
)
from cars_bench.workspace import Workspace
from tests.data.cards import a_card
from tests.reports.workspaces import make_workspace

RECIPE = replace(testing.RECIPE, image_size=32, resize=RESIZE_METHOD, preprocessing="none")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def add_dataset(place: Workspace, digest: str = RECIPE.dataset_digest, name: str = "cars") -> None:
    write_card(place.datasets / name, a_card(digest=digest))
    place.remember("dataset", name=name)


def add_cache(place: Workspace, recipe: FeatureRecipe = RECIPE, current: bool = True) -> Path:
    folder = place.features / recipe.key
    Manifest(
        recipe=recipe,
        dataset="cars",
        class_names=("a", "b"),
        shape=(16,),
        extraction=testing.PROVENANCE,
        shards=(),
    ).write(folder)
    if current:
        place.remember("cache", key=recipe.key)
    return folder


def add_study(place: Workspace, **changes: Any) -> Study:
    record = StudyRecord(
        name="first",
        created="2026-01-02T03:04:05+00:00",
        cache_key=RECIPE.key,
        dataset=DatasetReference("cars", RECIPE.dataset_digest),
        class_names=("a", "b"),
        features=FeatureSummary("tiny", "avg", 16, 1),
        budget=Budget(5, None),
        versions={},
    )
    study = Study(place.studies / "first", record).changed(**changes)
    with Ledger(study.ledger_path) as ledger:
        trials = [Trial(trial_id=f"t{number}", number=number, values={}) for number in range(4)]
        for trial in trials:
            ledger.proposed(trial)
        ledger.ended(trials[0].ended(TrialOutcome(score=0.5)))
        ledger.ended(trials[1].ended(TrialOutcome(score=0.75)))
        ledger.ended(trials[2].ended(TrialOutcome(reason="out of memory")))
        probe = Trial(trial_id="probe-ridge", kind="probe", values={})
        ledger.proposed(probe)
        ledger.ended(probe.ended(TrialOutcome(score=0.9)))
    place.remember("study", name="first")
    return study


def test_an_empty_workspace_holds_nothing(place: Workspace) -> None:
    assert read_overview(place).to_json() == {
        "workspace": str(place.root),
        "datasets": (),
        "caches": (),
        "studies": (),
        "reports": (),
        "experiments": (),
    }


def test_a_dataset_is_read_from_its_card(place: Workspace) -> None:
    add_dataset(place)
    (found,) = read_overview(place).datasets
    assert (found.name, found.images, found.classes, found.current) == ("cars", 60, 4, True)


@pytest.mark.parametrize(
    ("changes", "state", "differs"),
    [
        ({}, "matches", ()),
        ({"image_size": 64}, "almost", ("image_size",)),
        ({"pooling": "max", "dtype": "float32"}, "almost", ("pooling", "dtype")),
        (
            {"pooling": "max", "dtype": "float32", "backbone": "resnet50"},
            "other",
            ("backbone", "pooling", "dtype"),
        ),
        ({"dataset_digest": "e" * 64}, "stale", ("dataset_digest",)),
        ({"crop": "boxes"}, "stale", ("crop",)),
    ],
)
def test_a_cache_says_how_it_differs_from_the_present_configuration(
    place: Workspace, changes: dict[str, Any], state: str, differs: tuple[str, ...]
) -> None:
    add_dataset(place)
    add_cache(place)
    key = add_cache(place, replace(RECIPE, **changes), current=False).name
    found = next(cache for cache in read_overview(place).caches if cache.key == key)
    assert (found.state, found.differs) == (state, differs)


def test_a_cache_without_a_manifest_is_unfinished(place: Workspace) -> None:
    (place.features / RECIPE.key).mkdir(parents=True)
    (place.features / ".locks").mkdir()
    assert [cache.state for cache in read_overview(place).caches] == ["unfinished"]


def test_a_cache_with_an_edited_manifest_is_corrupt_and_says_so(place: Workspace) -> None:
    path = add_cache(place) / "manifest.json"
    path.write_text(path.read_text().replace("tiny", "huge"))
    (found,) = read_overview(place).caches
    assert found.state == "corrupt"
    assert "edited" in found.detail


def test_a_study_counts_its_trials_without_the_probes(place: Workspace) -> None:
    add_dataset(place)
    add_cache(place)
    add_study(place)
    (found,) = read_overview(place).studies
    assert (found.completed, found.failed, found.running) == (2, 1, 1)
    assert (found.planned, found.best, found.stale, found.current) == (5, 0.75, "", True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": DatasetReference("cars", "0" * 64)}, "has changed"),
        ({"cache_key": "0" * 16}, "cache is no longer there"),
    ],
)
def test_a_study_whose_inputs_changed_is_stale(
    place: Workspace, changes: dict[str, Any], said: str
) -> None:
    add_dataset(place)
    add_cache(place)
    add_study(place, **changes)
    assert said in read_overview(place).studies[0].stale


@pytest.mark.parametrize("damaged", ["study.json", "ledger.jsonl"])
def test_a_damaged_study_is_shown_as_unreadable(place: Workspace, damaged: str) -> None:
    path = add_study(place).folder / damaged
    path.write_text("{torn\n" + path.read_text())
    assert "cannot be read" in read_overview(place).studies[0].detail


def test_the_winners_score_is_its_mean_over_new_seeds_not_what_it_was_picked_for(
    place: Workspace,
) -> None:
    study = add_study(place, winner=Winner(trial_id="t1"))
    with Ledger(study.ledger_path) as ledger:
        for repeat, right in ((1, 6), (2, 7)):
            correct = pack(np.arange(10) < right)
            ledger.repeat("t1", Repeat(repeat=repeat, seed=1, score=right / 10, correct=correct))
    assert read_overview(place).studies[0].best == pytest.approx(0.65)


def test_a_run_shows_its_test_accuracy_where_it_was_measured(tmp_path: Path) -> None:
    place = make_workspace(tmp_path, trials=2)
    (run,) = runs(Study.open(place))
    Run(run.folder, replace(run.record, finetuned={})).write()
    (found,) = read_overview(place).studies[0].runs
    measured = run.score("frozen", "test")
    assert measured is not None
    assert (found.run, found.frozen_top1, found.finetuned_top1) == (
        run.name, measured.top1.value, None,
    )  # fmt: skip


def test_a_damaged_run_is_told_of_its_study(tmp_path: Path) -> None:
    place = make_workspace(tmp_path, trials=2)
    (runs(Study.open(place))[0].folder / "run.json").write_text("{")
    assert "run.json" in read_overview(place).studies[0].detail


def test_nothing_heavy_is_loaded_to_say_what_there_is() -> None:
    heavy = ("keras", "tensorflow", "jax", "scipy", "pandas", "sklearn", "matplotlib")
    code = f"import sys, cars_bench.status; sys.exit(any(n in sys.modules for n in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the report of a fine-tuned study."""
    place = make_workspace(tmp_path_factory.mktemp("reported"), trials=2)
    build_report(place)
    return place


def _tried_one_more(study: Study) -> None:
    with Ledger(study.ledger_path) as ledger:
        ledger.proposed(Trial(trial_id="t9", number=9, values={}))


def _evaluated(study: Study) -> None:
    write_text(study.folder / "winner" / "predictions-test.csv", "")


def _measured_again(study: Study) -> None:
    (run,) = runs(study)
    Run(run.folder, replace(run.record, seconds=1.5)).write()


@pytest.mark.parametrize("clock", [1, 2**32], ids=["past", "future"])
@pytest.mark.parametrize("go_on", [_tried_one_more, _evaluated, _measured_again])
def test_a_report_is_stale_once_its_study_went_on_whatever_the_clock_says(
    reported: Workspace, tmp_path: Path, go_on: Callable[[Study], None], clock: int
) -> None:
    place = Workspace(tmp_path / "copy")
    shutil.copytree(reported.root, place.root)
    study = Study.open(place)

    def stale() -> bool:
        for path in study.folder.rglob("*.*"):
            os.utime(path, (clock, clock))
        return read_overview(place).reports[0].stale

    assert not stale()
    go_on(study)
    assert stale()


@pytest.mark.parametrize("text", ["", "{}", '{"study_digest": 1}', None])
def test_a_report_whose_numbers_are_lost_is_stale(place: Workspace, text: str | None) -> None:
    add_study(place)
    write_text(place.reports / "first" / "report.html", "<html>")
    if text is not None:
        write_text(place.reports / "first" / "report.json", text)
    assert read_overview(place).reports[0].stale


def test_the_report_of_a_dataset_is_stale_once_a_study_bears_its_name(tmp_path: Path) -> None:
    place = make_workspace(tmp_path, "extracted")
    title = build_report(place).parent.name
    assert not read_overview(place).reports[0].stale
    write_text(place.study(title) / "study.json", "")
    assert read_overview(place).reports[0].stale


def test_the_overview_is_plain_data(place: Workspace) -> None:
    add_dataset(place)
    add_cache(place)
    add_study(place)
    document = json.loads(json.dumps(read_overview(place).to_json(), allow_nan=False))
    assert document["caches"][0]["state"] == "matches"


CARS = DatasetState(name="cars", digest="digest", images=60, classes=4, current=True)
CACHE = CacheState(key="00ff", state="matches", current=True)
STUDY = StudyState(name="first", cache_key="00ff", planned=3, completed=3, current=True)
DONE = StudyState(
    name="first",
    cache_key="00ff",
    planned=3,
    completed=3,
    runs=(RunState("r1", 0.5, 0.6),),
    current=True,
)
REPORT = ReportState("first", "report.html", stale=False)


def overview(
    datasets: tuple[DatasetState, ...] = (CARS,),
    caches: tuple[CacheState, ...] = (CACHE,),
    studies: tuple[StudyState, ...] = (),
    reports: tuple[ReportState, ...] = (),
) -> Overview:
    return Overview(
        workspace=Path(), datasets=datasets, caches=caches, studies=studies, reports=reports
    )


@pytest.mark.parametrize(
    ("found", "command"),
    [
        (overview(datasets=()), "cars-bench prepare SOURCE"),
        (overview(caches=()), "cars-bench extract"),
        (
            overview(caches=(CacheState(key="00", state="almost", current=True),)),
            "cars-bench extract",
        ),
        (
            overview(caches=(CacheState(key="00", state="stale", current=True),)),
            "cars-bench extract",
        ),
        (
            overview(caches=(CacheState(key="00", state="unfinished", current=True),)),
            "cars-bench extract",
        ),
        (
            overview(caches=(CacheState(key="00", state="corrupt", current=True),)),
            "cars-bench cache verify --repair",
        ),
        (overview(), "cars-bench tune --trials 100"),
        (
            overview(studies=(StudyState(name="x", cache_key="other"),)),
            "cars-bench tune --trials 100",
        ),
        (
            overview(
                studies=(StudyState(name="x", cache_key="00ff", planned=9, completed=3, failed=1),)
            ),
            "cars-bench tune --trials 9 --study x",
        ),
        (
            overview(studies=(StudyState(name="x", cache_key="00ff", planned=2, failed=2),)),
            "cars-bench tune --trials 100 --study x",
        ),
        (overview(studies=(STUDY,)), "cars-bench finetune --best --study first"),
        (
            overview(studies=(replace(STUDY, name="it's $(mine)"),)),
            """cars-bench finetune --best --study 'it'"'"'s $(mine)'""",
        ),
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
    other = StudyState(name="another", cache_key="00ff", planned=5, completed=1)
    assert advise(overview(studies=(other, STUDY))).command.endswith("--study first")
