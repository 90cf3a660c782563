"""Every document on disk, damaged in hundreds of ways: said in one sentence, or as it was.

`CARS_BENCH_FUZZ` sets how many ways a document; 200 where it is not set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from cars_bench.atomic import write_json
from cars_bench.cache.manifest import read_cost, read_manifest
from cars_bench.checksums import CHECKSUM, VERSION
from cars_bench.data.card import read_card
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CarsBenchError
from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.heatmaps import read_heatmaps
from cars_bench.finetune.plan import RunPlan, read_plan
from cars_bench.finetune.ranked_heads import RankedHead, Ranking, read_ranking, write_ranking
from cars_bench.finetune.recipe import Recipe
from cars_bench.finetune.runs import Run, runs
from cars_bench.reports.index import REPORT, entries
from cars_bench.training.checkpoint import (
    CHECKPOINT_FILE,
    TrainingState,
    finished_epochs,
    read_checkpoint,
    write_checkpoint,
)
from cars_bench.tuning.stored_head import stored_winner
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace, sha256_file
from tests.mutations import as_bytes, damaged_bytes, edited_json
from tests.reports.workspaces import evaluated, make_workspace
from tests.rewriting import rewrite

CASES = int(os.environ.get("CARS_BENCH_FUZZ", "200"))
CODES = (3, 4)
"""An input that cannot be used, or a record that is damaged."""
IDENTITY = {"weights": [["kernel", 2, 3]]}


def table_of(workspace: Workspace) -> tuple[Any, Any]:
    """A dataset; neither the order of its rows matters nor, until they are opened, their paths."""
    dataset = Dataset.load(workspace)
    rows = dataset.table.drop(columns="path").sort_values("image_id")
    return rows.to_csv(index=False), dataset.card


def checkpoint_of(workspace: Workspace) -> Any:
    path = run_of(workspace).folder / CHECKPOINT_FILE
    finished_epochs(path)
    found = read_checkpoint(path, IDENTITY)
    return found and [array.tolist() for array in (*found.best, *found.current)]


def run_of(workspace: Workspace) -> Run:
    (run,) = runs(Study.open(workspace))
    return run


def head_of(workspace: Workspace) -> Any:
    head = stored_winner(Study.open(workspace))
    return head and (head.record, head.answers("test"))


@dataclass(frozen=True)
class Kind:
    """A document.

    Attributes:
        place: Pattern that finds it in a workspace.
        read: What its owner makes of it.
        is_open: People may edit it, or no command relies on it: only a raw error is wrong.
    """

    place: str
    read: Callable[[Workspace], Any]
    is_open: bool = False


KINDS = {
    "card": Kind("cache/datasets/*/card.json", lambda space: read_card(*folder_of(space))),
    "table": Kind("cache/datasets/*/dataset.csv", table_of),
    "manifest": Kind(
        "cache/features/*/manifest.json",
        lambda space: [read_manifest(path) for path in space.features.glob("[0-9a-f]*")],
    ),
    "study": Kind("tuning/*/study.json", lambda space: Study.open(space).record),
    "head": Kind("tuning/*/winner/winner.json", head_of),
    "head's answers": Kind("tuning/*/winner/predictions-test.csv", head_of),
    "ranking": Kind("tuning/*/final-top3.json", lambda space: read_ranking(Study.open(space))),
    "plan": Kind("tuning/*/final/*/plan.json", lambda space: read_plan(run_of(space).folder)),
    "run": Kind("tuning/*/final/*/run.json", lambda space: run_of(space).record),
    "run's answers": Kind(
        "tuning/*/final/*/predictions-val.csv", lambda space: run_of(space).answers()
    ),
    "epochs": Kind("tuning/*/final/*/history.csv", lambda space: run_of(space).history()),
    "heatmaps": Kind(
        "tuning/*/final/*/heatmaps.json", lambda space: read_heatmaps(run_of(space).folder)
    ),
    "checkpoint": Kind("tuning/*/final/*/checkpoint.npz", checkpoint_of),
    "settings": Kind("cars-bench.toml", lambda space: space.settings(), is_open=True),
    "cost": Kind(
        "cache/features/.costs/*.json",
        lambda space: [read_cost(space, path.name) for path in space.features.glob("[0-9a-f]*")],
        is_open=True,
    ),
    "report's summary": Kind(
        "reports/*/report.json", lambda space: list(entries(space.reports, REPORT)), is_open=True
    ),
}
SEALED = [name for name, kind in KINDS.items() if kind.place.endswith(".json") and not kind.is_open]


def folder_of(space: Workspace) -> list[Path]:
    return list(space.datasets.glob("*"))[:1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with every document; each test puts back what it damages."""
    workspace = evaluated(make_workspace(tmp_path_factory.mktemp("whole"), trials=5))
    study = Study.open(workspace)
    run = run_of(workspace)
    plan = RunPlan(run=run.name, study=study.name, trial_id="t0001", recipe=Recipe())
    plan.write(workspace)
    heads = tuple(
        RankedHead(run=run.name, trial_id=f"t{index}", drawn=False, frozen=0.5, finetuned=0.6)
        for index in range(3)
    )
    write_ranking(study, 3, Ranking(heads, Estimate(0.5, 0.0, 1.0), run.name))
    tables = {path.name: sha256_file(path) for path in run.folder.glob("*.csv")}
    Run(run.folder, replace(run.record, tables=tables)).write()
    state = TrainingState([*run.history()], 1, [np.eye(3)], [np.ones(2), np.zeros((2, 2))])
    write_checkpoint(run.folder / CHECKPOINT_FILE, state, IDENTITY)
    page = workspace.reports / study.name / "report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    summary = {"title": "a", "headline": "b", "about": "c", "accuracies": []}
    write_json(page.with_suffix(".json"), summary)
    return workspace


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_document_is_said_in_one_sentence_or_is_as_it_was(
    whole: Workspace, name: str
) -> None:
    kind = KINDS[name]
    (path,) = whole.root.glob(kind.place)
    data = path.read_bytes()
    before = kind.read(whole)
    damages = damaged_bytes(data)
    if path.suffix == ".json":
        damages |= edited_json(json.loads(data)).map(as_bytes)

    def judge() -> None:
        found = read_or_refused(kind, whole)
        unnoticed = not kind.is_open and found is not None and found != before
        assert not unnoticed

    attack(path, damages, CASES, judge)
    assert kind.read(whole) == before


@pytest.mark.parametrize("name", SEALED)
def test_a_document_without_a_checksum_is_read_or_refused_in_one_sentence(
    whole: Workspace, name: str
) -> None:
    kind = KINDS[name]
    (path,) = whole.root.glob(kind.place)
    old = json.loads(path.read_bytes()) | {VERSION: 1}
    old.pop(CHECKSUM, None)
    damages = edited_json(old).map(as_bytes)
    attack(path, damages, CASES // 2, lambda: read_or_refused(kind, whole))


@pytest.mark.parametrize("name", [name for name in KINDS if not KINDS[name].is_open])
def test_a_folder_or_a_pipe_in_a_documents_place_is_said(whole: Workspace, name: str) -> None:
    kind = KINDS[name]
    (path,) = whole.root.glob(kind.place)
    kept = path.rename(path.with_name("kept"))
    for make, unmake in ((os.mkdir, os.rmdir), (os.mkfifo, os.unlink)):
        make(path)
        try:
            read_or_refused(kind, whole)
        finally:
            unmake(path)
    kept.rename(path)


def test_a_name_that_is_no_unicode_is_kept(whole: Workspace) -> None:
    (path,) = whole.root.glob(KINDS["card"].place)
    data = path.read_bytes()
    rewrite(path, lambda values: values["source"].update(labels="/data/\udcff.csv"))
    assert read_card(path.parent).source.labels == "/data/\udcff.csv"
    path.write_bytes(data)


def attack(
    path: Path, damages: SearchStrategy[bytes], cases: int, judge: Callable[[], object]
) -> None:
    """Damage a document in so many ways, judge what is made of each, and put it back."""
    data = path.read_bytes()

    @settings(max_examples=cases, deadline=None, suppress_health_check=list(HealthCheck))
    @given(damages)
    def damaged_and_judged(damaged: bytes) -> None:
        path.write_bytes(damaged)
        judge()

    try:
        damaged_and_judged()
    finally:
        path.write_bytes(data)


def read_or_refused(kind: Kind, workspace: Workspace) -> Any:
    """What is read of a document; `None` where it is refused as it should be."""
    try:
        return kind.read(workspace)
    except CarsBenchError as error:
        refused = error
    assert refused.code in CODES, refused.message
    assert refused.fix
    assert "\n" not in refused.message
    assert len(refused.message) < 1000
    return None
