"""What earlier stages wrote on disk, read once and as it is: the only file here that opens them.

Every part may be missing, because a report can be asked for at any stage.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cars_bench.cache.cost import Cost, read_cost
from cars_bench.cache.manifest import Manifest, read_manifest
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CacheMissing, DatasetMissing, InputError, StudyMissing
from cars_bench.tuning.leaderboard import Row, leaderboard
from cars_bench.tuning.ledger import Trial, busy_seconds
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

Json = dict[str, Any]


@dataclass(frozen=True)
class Epoch:
    """One epoch of one trial or run; losses in nats, `val_top1` in [0, 1]."""

    epoch: int
    train_loss: float | None
    val_loss: float | None
    val_top1: float | None
    learning_rate: float | None
    seconds: float | None


@dataclass(frozen=True)
class Run:
    """One fine-tuning run: its record, its epochs and its predictions tables.

    Attributes:
        predictions: By table name (`test`, `test-frozen`, `val`, `val-frozen`), those that exist.
        looks: Its `heatmaps.json`, where it was computed.
        boundary: The cache of activations that it was trained on, where that is still there.
    """

    name: str
    record: Json
    history: tuple[Epoch, ...]
    predictions: dict[str, pd.DataFrame]
    looks: Json | None = None
    boundary: Manifest | None = None

    def accuracy(self, stage: str, split: str) -> Json | None:
        """The score document of `frozen` or `finetuned` on a split, if it was measured."""
        found: Json | None = (self.record.get(stage) or {}).get(split)
        return found


@dataclass(frozen=True)
class Inputs:
    """Everything a report is made of; `None` or empty where a stage has not run."""

    workspace: Workspace
    study_name: str | None = None
    dataset: Dataset | None = None
    manifest: Manifest | None = None
    cache_cost: Cost = field(default_factory=Cost)
    study: Json | None = None
    board: tuple[Row, ...] = ()
    trials: tuple[Trial, ...] = ()
    search_seconds: float = 0.0
    winner_id: str | None = None
    runs: tuple[Run, ...] = ()
    ranking: Json | None = None

    @property
    def class_names(self) -> list[str]:
        """Class names in the order of their labels; the study's own list goes first."""
        if self.study and self.study.get("class_names"):
            return [str(name) for name in self.study["class_names"]]
        return self.dataset.class_names if self.dataset else []

    @property
    def winner(self) -> Trial | None:
        """The winning trial: the one in `winner/`, else the best completed so far."""
        done = [trial for trial in self.ranked if trial.kind == "trial"]
        kept = [trial for trial in done if trial.trial_id == self.winner_id]
        return next(iter(kept + done), None)

    @property
    def ranked(self) -> list[Trial]:
        """Completed trials and probes in the order of the leaderboard."""
        records = {trial.trial_id: trial for trial in self.trials}
        return [records[row.trial_id] for row in self.board if row.status == "completed"]

    @property
    def probes(self) -> list[Trial]:
        """Completed probes, best first."""
        return [trial for trial in self.ranked if trial.kind == "probe"]

    @property
    def run(self) -> Run | None:
        """The fine-tuning run with the best validation top-1 (never chosen on test)."""
        scored = [run for run in self.runs if run.accuracy("finetuned", "val")]
        return max(scored or self.runs, key=_validation_top1, default=None)


def read_inputs(workspace: Workspace, study_name: str | None = None) -> Inputs:
    """Read what exists of a study, its cache and its dataset.

    Args:
        workspace: Where to look.
        study_name: The study; by default the last one tuned, if any.

    Raises:
        StudyMissing: A study was named and is not there.
        InputError: Nothing has been made yet, or a file is not readable as JSON.
    """
    study = _study(workspace, study_name)
    document = study.document if study else None
    manifest = _manifest(workspace, study.cache_key if study else None)
    dataset = _dataset(workspace, document, manifest)
    if dataset is None and study is None and manifest is None:
        raise InputError("There is nothing to report on yet.", "cars-bench prepare SOURCE")
    cost = read_cost(workspace, manifest.recipe.key) if manifest else Cost()
    if study is None:
        return Inputs(workspace, None, dataset, manifest, cost)
    return Inputs(
        workspace=workspace,
        study_name=study.name,
        dataset=dataset,
        manifest=manifest,
        cache_cost=cost,
        study=document,
        board=tuple(leaderboard(study)),
        trials=study.trials(),
        search_seconds=busy_seconds(study.ledger_path),
        winner_id=(_json(study.folder / "winner" / "winner.json") or {}).get("trial_id"),
        runs=tuple(_runs(workspace, study.folder / "final")),
        ranking=_ranking(study.folder),
    )


def _study(workspace: Workspace, name: str | None) -> Study | None:
    try:
        return Study.open(workspace, name)
    except StudyMissing:
        if name:
            raise
        return None


def _manifest(workspace: Workspace, key: str | None) -> Manifest | None:
    return _cached(workspace, key or workspace.settings().get("cache", {}).get("key"))


def _cached(workspace: Workspace, key: str | None) -> Manifest | None:
    """The manifest of a cache; `None` where there is no such cache."""
    try:
        return read_manifest(workspace.features / key) if key else None
    except CacheMissing:
        return None


def _dataset(workspace: Workspace, study: Json | None, manifest: Manifest | None) -> Dataset | None:
    recorded = (study or {}).get("dataset", {}).get("name")
    try:
        return Dataset.load(workspace, recorded or (manifest.dataset if manifest else None))
    except DatasetMissing:
        return None


def _validation_top1(run: Run) -> float:
    score = run.accuracy("finetuned", "val") or {"top1": {"value": 0.0}}
    return float(score["top1"]["value"])


def _runs(workspace: Workspace, folder: Path) -> Iterator[Run]:
    for path in sorted(folder.glob("*/run.json")):
        tables = {
            file.stem.removeprefix("predictions-"): pd.read_csv(
                file, dtype=str, keep_default_na=False
            )
            for file in sorted(path.parent.glob("predictions-*.csv"))
        }
        record = _json(path) or {}
        history, looks = path.parent / "history.csv", path.parent / "heatmaps.json"
        boundary = _cached(workspace, record.get("boundary_cache_key"))
        yield Run(path.parent.name, record, _history(history), tables, _json(looks), boundary)


def _ranking(folder: Path) -> Json | None:
    """What `finetune --top N` found, of the most heads where it ran more than once."""
    found = [_json(path) or {} for path in sorted(folder.glob("final-top*.json"))]
    return max(found, key=lambda item: len(item.get("heads", [])), default=None)


def _history(path: Path) -> tuple[Epoch, ...]:
    if not path.exists():
        return ()
    return epochs_of(pd.read_csv(path).to_dict("records"))


def epochs_of(rows: Iterable[Any]) -> tuple[Epoch, ...]:
    """Epochs of a run's history or of a trial's ledger events."""
    return tuple(_epoch(row) for row in rows)


def _epoch(row: Any) -> Epoch:
    names = ("train_loss", "val_loss", "val_top1", "learning_rate", "seconds")
    return Epoch(int(row["epoch"]), *(_number(row.get(name)) for name in names))


def _number(value: Any) -> float | None:
    """A finite float, or `None` for what is absent or not a number."""
    if value is None or value == "" or pd.isna(value):
        return None
    return float(value)


def _json(path: Path) -> Json | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error}.", "restore the file") from error
    return document if isinstance(document, dict) else None
