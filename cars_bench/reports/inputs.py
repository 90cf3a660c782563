"""What earlier stages left of a study, opened through the rooms that wrote it.

Every part may be missing, because a report can be asked for at any stage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cars_bench.backbones.catalogue import is_picture
from cars_bench.cache.manifest import Cost, Manifest, read_cost, read_manifest
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CacheMissing, DatasetMissing, InputError, StudyMissing
from cars_bench.evaluation.label_check import OutOfSample, leave_one_out
from cars_bench.evaluation.metrics import SplitScore
from cars_bench.evaluation.predictions import Predictions, score_of
from cars_bench.finetune.cache_fidelity_record import FidelityRecord, read_fidelity
from cars_bench.finetune.gain import Gain, gain_in
from cars_bench.finetune.heatmaps import Heatmaps
from cars_bench.finetune.ranked_heads import Ranking, read_ranking
from cars_bench.finetune.reported import study_digest
from cars_bench.finetune.runs import FROZEN, MEASURED, STAGES, Run, Stage, best_run, runs
from cars_bench.reports.image_features import ImageFeatures, read_features
from cars_bench.tuning.leaderboard import LeaderboardRow, WinnersCurse, leaderboard, winners_curse
from cars_bench.tuning.ledger import Trial, busy_seconds
from cars_bench.tuning.space import Space, space_of
from cars_bench.tuning.stored_head import StoredHead, stored_winner
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything a report is made of; `None` or empty where a stage has not run.

    Attributes:
        workspace: Where it was found.
        dataset: The images that the study was made of; `None` also where they changed since.
        replaced: Whether another dataset stands now where the study's did.
        manifest: Of the features that heads are searched on.
        cost: What their extraction took.
        study: The search.
        study_digest: Of its files, taken before they were read.
        board: Its leaderboard.
        search_seconds: Wall time during which anything was trained.
        curse: What its winner's score is worth.
        runs: Its fine-tuned models.
        predictions: What the chosen one answered, by stage and split; where nothing was
            fine-tuned, what the winner answered.
        head: The trained head of the winner, where it is stored.
        heatmaps: Where the chosen one looked.
        boundaries: Of the caches of activations that runs were trained on, by key.
        ranking: Whether the ranks on the cache hold after fine-tuning.
        cache_fidelity: What the cache is worth as a judge of heads.
    """

    workspace: Workspace
    dataset: Dataset | None = None
    replaced: bool = False
    manifest: Manifest | None = None
    cost: Cost = field(default_factory=Cost)
    study: Study | None = None
    study_digest: str = ""
    board: tuple[LeaderboardRow, ...] = ()
    search_seconds: float = 0.0
    curse: WinnersCurse | None = None
    runs: tuple[Run, ...] = ()
    predictions: dict[tuple[str, str], Predictions] = field(default_factory=dict)
    head: StoredHead | None = None
    heatmaps: Heatmaps | None = None
    boundaries: dict[str, Manifest] = field(default_factory=dict)
    ranking: Ranking | None = None
    cache_fidelity: FidelityRecord | None = None

    @property
    def class_names(self) -> list[str]:
        """Class names in the order of their labels; the study's own list goes first."""
        if self.study:
            return list(self.study.class_names)
        return self.dataset.class_names if self.dataset else []

    @cached_property
    def features(self) -> ImageFeatures | None:
        """The cached features of every image, read once; `None` where there are none.

        Raises:
            CacheCorrupt: A shard's bytes are not the promised ones.
        """
        return read_features(self.workspace, self.manifest)

    @cached_property
    def out_of_sample(self) -> OutOfSample | None:
        """What a classifier of all other images says of each; `None` without two classes."""
        found = self.features
        if found is None or len(np.unique(found.labels)) == 1:
            return None
        return leave_one_out(found.x, found.labels, len(self.class_names))

    @cached_property
    def files(self) -> dict[str, str]:
        """Where every image lies: below the workspace as seen from there, others from the root."""
        images = self.dataset.images if self.dataset else {}
        return {name: self.place(image.path) for name, image in images.items()}

    def place(self, path: Path) -> str:
        """A file's path, as seen from the workspace where it lies in it."""
        root = self.workspace.root.resolve()
        whole = path.resolve()
        return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(path)

    @property
    def space(self) -> Space | None:
        """What the search varied; `None` before one."""
        document = self.study.record.space if self.study else None
        return None if document is None else space_of(document)

    @property
    def ranked(self) -> list[LeaderboardRow]:
        """Completed trials and probes, best first."""
        return [row for row in self.board if row.status == "completed"]

    @property
    def trials(self) -> list[Trial]:
        """Trials of the search, ended or not, in the order proposed."""
        found = [row.trial for row in self.board if row.kind == "trial"]
        return sorted(found, key=lambda trial: trial.number)

    @property
    def probes(self) -> list[LeaderboardRow]:
        """Completed probes, best first."""
        return [row for row in self.ranked if row.kind == "probe"]

    @property
    def winner(self) -> LeaderboardRow | None:
        """The winner that the study recorded, else the best trial completed so far."""
        done = [row for row in self.ranked if row.kind == "trial"]
        recorded = self.study.record.winner if self.study else None
        kept = [row for row in done if recorded and row.trial_id == recorded.trial_id]
        return next(iter(kept + done), None)

    @property
    def run(self) -> Run | None:
        """The fine-tuning run that is best on validation; never chosen on test."""
        return best_run(self.runs)

    @property
    def from_scratch(self) -> bool:
        """Whether the search trained whole networks, on pictures."""
        return self.study is not None and is_picture(self.study.record.features.backbone)

    @property
    def frozen_trial(self) -> str:
        """The trial whose frozen head the report speaks of: the chosen run's, else the winner."""
        if self.run is not None:
            return self.run.record.trial_id
        return self.winner.trial_id if self.winner else ""

    @property
    def frozen_row(self) -> LeaderboardRow | None:
        """Its row of the leaderboard, whose score is the head's one number."""
        return next((row for row in self.board if row.trial_id == self.frozen_trial), None)

    def called(self, stage: Stage) -> str:
        """The one name of the frozen head, or of the finished model, in words."""
        if stage == FROZEN:
            return self.called_frozen(self.frozen_trial)
        return name_of_run(self.run) if self.run else ""

    def called_frozen(self, trial_id: str) -> str:
        """What the frozen head of a trial is called in words; a network from scratch is whole."""
        won = self.winner is not None and self.winner.trial_id == trial_id
        name = "winner" if won else trial_id
        return f"{name} trained from scratch" if self.from_scratch else f"frozen {name}"

    def answers(self, stage: str, split: str) -> Predictions | None:
        """What the chosen run, else the winner, answered; `None` where it was not asked."""
        return self.predictions.get((stage, split))

    @property
    def gain(self) -> Gain | None:
        """What fine-tuning changed in the chosen run; `None` where nothing was trained."""
        trained = self.run is not None and self.run.record.epochs
        return gain_in(self.predictions) if trained else None

    def last_answers(self, split: str) -> tuple[Stage, Predictions] | None:
        """The last stage that was asked about a split, and what it answered."""
        for stage in reversed(STAGES):
            found = self.answers(stage, split)
            if found:
                return stage, found
        return None

    def score(self, stage: Stage, split: str) -> SplitScore | None:
        """Accuracy of these answers, as the run recorded it; `None` where it was not measured."""
        if self.run is not None:
            return self.run.score(stage, split)
        found = self.answers(stage, split)
        return score_of(found) if found else None


def name_of_run(run: Run) -> str:
    """What a finished model is called: where nothing was trained, it is not fine-tuned."""
    return "fine-tuned model" if run.record.epochs else "assembled model"


def read_inputs(workspace: Workspace, study_name: str | None = None) -> Inputs:
    """Open what exists of a study, its cache and its dataset.

    Args:
        workspace: Where to look.
        study_name: The study; by default the last one tuned, if any.

    Raises:
        StudyMissing: A study was named and is not there.
        InputError: Nothing has been made yet, or a file is not what was written.
    """
    study = _study(workspace, study_name)
    manifest = _manifest(workspace, study)
    there = _dataset(workspace, study, manifest)
    replaced = bool(there and study and there.digest != study.record.dataset.digest)
    dataset = None if replaced else there
    if dataset is None and study is None and manifest is None:
        raise InputError("There is nothing to report on yet.", "cars-bench prepare SOURCE")
    made = Inputs(
        workspace=workspace,
        dataset=dataset,
        replaced=replaced,
        manifest=manifest,
        cost=read_cost(workspace, manifest.recipe.key) if manifest else Cost(),
    )
    return made if study is None else _searched(made, study)


def _searched(made: Inputs, study: Study) -> Inputs:
    """With what the study and its runs hold."""
    digest = study_digest(study.folder)
    found = runs(study)
    chosen = best_run(found)
    head = _head(study)
    return replace(
        made,
        head=head,
        study=study,
        study_digest=digest,
        board=tuple(leaderboard(study)),
        search_seconds=busy_seconds(study.ledger_path),
        curse=winners_curse(study),
        runs=found,
        predictions=chosen.answers() if chosen else _of_head(head),
        heatmaps=chosen.heatmaps() if chosen else None,
        boundaries=_boundaries(made.workspace, found),
        ranking=read_ranking(study),
        cache_fidelity=read_fidelity(study),
    )


def _study(workspace: Workspace, name: str | None) -> Study | None:
    try:
        return Study.open(workspace, name)
    except StudyMissing:
        if name:
            raise
        return None


def _manifest(workspace: Workspace, study: Study | None) -> Manifest | None:
    current = workspace.settings().get("cache", {}).get("key")
    return _cached(workspace, study.cache_key if study else current)


def _cached(workspace: Workspace, key: str | None) -> Manifest | None:
    """The manifest of a cache; `None` where there is no such cache."""
    try:
        return read_manifest(workspace.features / key) if key else None
    except CacheMissing:
        return None


def _dataset(
    workspace: Workspace, study: Study | None, manifest: Manifest | None
) -> Dataset | None:
    of_cache = manifest.dataset if manifest else None
    try:
        return Dataset.load(workspace, study.record.dataset.name if study else of_cache)
    except DatasetMissing:
        return None


def _head(study: Study) -> StoredHead | None:
    """The stored head of the winner that the study recorded, not of an earlier one."""
    head = stored_winner(study)
    winner = study.record.winner
    return head if head and winner and head.record.trial_id == winner.trial_id else None


def _of_head(head: StoredHead | None) -> dict[tuple[str, str], Predictions]:
    found = {split: head.answers(split) for split in MEASURED} if head else {}
    return {(FROZEN, split): answers for split, answers in found.items() if answers}


def _boundaries(workspace: Workspace, found: Iterable[Run]) -> dict[str, Manifest]:
    keys = {run.record.boundary_cache_key for run in found} - {None}
    caches = {key: _cached(workspace, key) for key in sorted(map(str, keys))}
    return {key: manifest for key, manifest in caches.items() if manifest}
