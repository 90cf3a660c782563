"""What `status` reads: states of caches, studies, runs and reports."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cars_bench.cache import made_up
from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import Manifest
from cars_bench.data.card import write_card
from cars_bench.data.images import RESIZE_METHOD
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
from cars_bench.tuning.ledger import Ledger
from cars_bench.workspace import Workspace, write_json, write_text
from tests.data.cards import a_card
from tests.tuning.studies import begin_trial, fail_trial, write_probe, write_trial

RECIPE = replace(made_up.RECIPE, image_size=32, resize=RESIZE_METHOD, preprocessing="none")


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
        extraction=made_up.PROVENANCE,
        shards=(),
    ).write(folder)
    if current:
        place.remember("cache", key=recipe.key)
    return folder


def add_study(place: Workspace, **changes: Any) -> Path:
    folder = place.studies / "first"
    dataset = {"name": "cars", "digest": RECIPE.dataset_digest}
    study = {"cache_key": RECIPE.key, "dataset": dataset, "budget": {"trials": 5}}
    write_json(folder / "study.json", study | changes)
    with Ledger(folder / "ledger.jsonl") as ledger:
        write_trial(ledger, 0, score=0.5)
        write_trial(ledger, 1, score=0.75)
        fail_trial(ledger, 2, "out of memory")
        begin_trial(ledger, 3)
        write_probe(ledger, "ridge", np.arange(10) < 9)
    place.remember("study", name="first")
    return folder


def test_an_empty_workspace_holds_nothing(place: Workspace) -> None:
    assert read_overview(place).to_json() == {
        "workspace": str(place.root),
        "datasets": (),
        "caches": (),
        "studies": (),
        "reports": (),
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
        ({"dataset": {"name": "cars", "digest": "0" * 64}}, "has changed"),
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
    path = add_study(place) / damaged
    path.write_text("{torn\n" + path.read_text())
    assert "cannot be read" in read_overview(place).studies[0].detail


def test_a_run_shows_its_test_accuracy_where_it_was_measured(place: Workspace) -> None:
    final = add_study(place) / "final"
    measured = {"test": {"top1": {"value": 0.8}}}
    write_json(final / "r1" / "run.json", {"frozen": measured, "finetuned": {"val": {}}})
    (run,) = read_overview(place).studies[0].runs
    assert (run.run, run.frozen_top1, run.finetuned_top1) == ("r1", 0.8, None)


def test_a_run_without_its_record_is_unfinished(place: Workspace) -> None:
    final = add_study(place) / "final"
    for name in ("r1", "r2"):
        write_json(final / name / "plan.json", {})
    write_json(final / "r1" / "run.json", {})
    assert read_overview(place).studies[0].unfinished == ("r2",)


def test_a_report_is_stale_once_its_study_goes_on(place: Workspace) -> None:
    ledger = add_study(place) / "ledger.jsonl"
    write_text(place.reports / "first" / "report.html", "<html>")
    os.utime(ledger, (1, 1))
    assert not read_overview(place).reports[0].stale
    os.utime(place.reports / "first" / "report.html", (0, 0))
    assert read_overview(place).reports[0].stale


def test_the_overview_is_plain_data(place: Workspace) -> None:
    add_dataset(place)
    add_cache(place)
    add_study(place)
    document = json.loads(json.dumps(read_overview(place).to_json(), allow_nan=False))
    assert document["caches"][0]["state"] == "matches"


CARS = DatasetState("cars", "digest", "none", 60, 4, current=True)
CACHE = CacheState("00ff", "matches", current=True)
STUDY = StudyState("first", "00ff", planned=3, completed=3, current=True)
DONE = StudyState("first", "00ff", 3, 3, runs=(RunState("r1", 0.5, 0.6),), current=True)
REPORT = ReportState("first", "report.html", stale=False)


def overview(
    datasets: tuple[DatasetState, ...] = (CARS,),
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
