"""`kill -9` in every stage: the same command goes on and ends where one that was never killed does.

A kill falls at a random moment, or right before one of the changes that the command makes to
the files of the workspace.  `CARS_BENCH_KILLS` says how many there are over all stages.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cars_bench.finetune.runs import runs
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace
from tests.cache.test_extract import digests
from tests.killing import Kennel
from tests.pipeline import RECIPE
from tests.tuning.studies import SPACE, results

KILLS = int(os.environ.get("CARS_BENCH_KILLS", "24"))
SIGKILLED = -9


@dataclass(frozen=True)
class Stage:
    """A command, the Keras backend it is run on, and what it comes to."""

    command: str
    backend: str
    outcome: Callable[[Workspace], Any]

    @property
    def name(self) -> str:
        return self.command.split()[0]


def _dataset(space: Workspace) -> Any:
    return digests(space.datasets / "tiny")["dataset.csv"]


def _shards(space: Workspace) -> Any:
    (folder,) = [item for item in space.features.iterdir() if not item.name.startswith(".")]
    return digests(folder)


def _study(space: Workspace) -> Any:
    study = Study.open(space, "s")
    weights = digests(study.folder / "winner") if study.record.winner else {}
    return results(study.ledger_path), weights.get("witness.npz")


def _run(space: Workspace) -> Any:
    (run,) = runs(Study.open(space, "s"))
    tables = {path.name: path.read_text() for path in run.folder.glob("predictions-*.csv")}
    return run.record.finetuned, run.record.frozen, run.record.epochs, tables


def _answers(space: Workspace) -> Any:
    with (space.root / "answers.csv").open() as stream:
        return list(csv.reader(stream))


def _report(space: Workspace) -> Any:
    return json.loads((space.reports / "s" / "report.json").read_text())


STAGES = (
    Stage("prepare {source} --name tiny", "jax", _dataset),
    Stage(
        "extract --backbone tiny --weights none --image-size 48 --batch-size 4 --views 2"
        " --runtime tensorflow",
        "tensorflow",
        _shards,
    ),
    Stage("tune --space {space} --trials 4 --repeats 1 --workers 1 --study s", "jax", _study),
    Stage("probe --study s", "jax", _study),
    Stage("finetune --best --recipe {recipe}", "tensorflow", _run),
    Stage("evaluate", "tensorflow", _run),
    Stage("predict {source}/images --output {root}/answers.csv", "tensorflow", _answers),
    Stage("report", "jax", _report),
)


class Range:
    """A workspace in which every stage was run once, and the state before and after each."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.space = Workspace(folder / "workspace")
        self.kennels = {name: Kennel(self.space.root, name) for name in ("jax", "tensorflow")}
        (folder / "space.yaml").write_text(SPACE)
        (folder / "recipe.yaml").write_text(RECIPE)
        self.words = {
            "source": source,
            "space": folder / "space.yaml",
            "recipe": folder / "recipe.yaml",
            "root": self.space.root,
        }
        self.space.root.mkdir()
        self.whole: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, Any] = {}
        for stage in STAGES:
            shutil.copytree(self.space.root, self._before(stage))
            self.whole[stage.name] = self.run(stage)
            assert self.whole[stage.name]["code"] == 0, self.said(stage)
            self.outcomes[stage.name] = stage.outcome(self.space)

    def _before(self, stage: Stage) -> Path:
        return self.space.root.parent / f"before-{stage.name}"

    def restore(self, stage: Stage) -> None:
        """Put the workspace back to where the stage had not begun."""
        shutil.rmtree(self.space.root)
        shutil.copytree(self._before(stage), self.space.root)

    def moment(self, stage: Stage, rng: random.Random) -> dict[str, Any]:
        """When to kill: any second of its time, or before any of its changes to files."""
        whole = self.whole[stage.name]
        if whole["changes"] and rng.random() < 0.5:
            return {"change": rng.randint(1, whole["changes"])}
        return {"seconds": rng.uniform(0, whole["seconds"])}

    def run(self, stage: Stage, **how: Any) -> dict[str, Any]:
        argv = (word.format(**self.words) for word in stage.command.split())
        return self.kennels[stage.backend].run(*argv, **how)

    def said(self, stage: Stage) -> str:
        return self.kennels[stage.backend].said()

    def believed(self) -> None:
        """What a killed command left is read by the next one without complaint."""
        ended = self.kennels["jax"].run("status", "--json")
        assert ended["code"] == 0, self.kennels["jax"].said()


@pytest.fixture(scope="module")
def shooting_range(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    found = Range(tmp_path_factory.mktemp("kills"), tiny_source)
    yield found
    for kennel in found.kennels.values():
        kennel.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(STAGES)), ids=[item.name for item in STAGES])
def test_killed_at_any_moment_a_stage_ends_as_one_that_never_was(
    shooting_range: Range, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, rng = STAGES[number], random.Random(number)
    space, kills, ends = shooting_range.space, 0, 0
    ledger: list[str] = []
    shooting_range.restore(stage)
    while kills < -(-KILLS // len(STAGES)):
        code = shooting_range.run(stage, **shooting_range.moment(stage, rng))["code"]
        assert code in (0, SIGKILLED), shooting_range.said(stage)
        if code == SIGKILLED:
            kills += 1
            ledger = _goes_on(space, ledger)
            shooting_range.believed()
        else:
            ends += 1
            assert stage.outcome(space) == shooting_range.outcomes[stage.name]
            shooting_range.restore(stage)
            ledger = []
    assert shooting_range.run(stage)["code"] == 0, shooting_range.said(stage)
    assert stage.outcome(space) == shooting_range.outcomes[stage.name]
    assert not list(space.root.rglob(".*.tmp*"))
    with capsys.disabled():
        print(f"\n{stage.name}: {kills} kills, {ends + 1} ends, all as the one never killed")


def _goes_on(space: Workspace, before: list[str]) -> list[str]:
    """The ledger's whole lines; none that was there may have gone or changed."""
    path = space.studies / "s" / "ledger.jsonl"
    text = path.read_text() if path.is_file() else ""
    now = text[: text.rfind("\n") + 1].splitlines()
    assert now[: len(before)] == before
    return now
