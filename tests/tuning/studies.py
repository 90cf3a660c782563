"""Small studies: a made-up cache of a prepared dataset, ledgers of any trials, no workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cars_bench.cache.shards import PlannedShard
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.testing import MadeUpCache, batch_of_dataset
from cars_bench.data.dataset import Dataset
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec
from cars_bench.tuning.leaderboard import LeaderboardRow
from cars_bench.tuning.ledger import Ledger, Repeat, Trial, TrialOutcome
from cars_bench.tuning.ranking import pack
from cars_bench.tuning.study import DatasetReference, FeatureSummary, Study, StudyRecord
from cars_bench.tuning.worker_pool import Message, TrainingJob
from cars_bench.workspace import Workspace

WIDTH, VIEWS = 12, 2
UNLIKE = ("time", "seconds", "memory_bytes", "digest")
SPACE = """
name: small
fixed: {epochs: 4, batch_size: 16}
hyperparameters:
  depth: {type: int, min: 0, max: 1}
  units_1: {type: int, min: 4, max: 64, log: true, when: {depth: [1]}}
  features_dropout: {type: float, min: 0.0, max: 0.5, step: 0.1}
  learning_rate: {type: float, min: 1.0e-3, max: 1.0e-1, log: true}
"""


def make_cache(workspace: Workspace, dataset: Dataset, noise: float = 0.7) -> FeatureCache:
    """Features that cluster by class, for a prepared dataset."""

    def features(labels: np.ndarray, shard: PlannedShard) -> np.ndarray:
        return _features(labels, [len(shard.split), shard.view], noise)

    made_up = MadeUpCache.of(dataset, (WIDTH,), VIEWS)
    return made_up.write(workspace, batch_of_dataset(dataset, features))


def _features(labels: np.ndarray, seed: list[int], noise: float) -> np.ndarray:
    centres = np.random.default_rng(7).normal(0, 1, (int(labels.max()) + 1, WIDTH))
    drawn = np.random.default_rng(seed).normal(0, noise, (len(labels), WIDTH))
    return (centres[labels] + drawn).astype(np.float16)


def write_study(folder: Path, **changes: Any) -> Study:
    """A study without a cache."""
    record = StudyRecord(
        name=folder.name,
        created="2026-01-02T03:04:05+00:00",
        cache_key="k",
        dataset=DatasetReference("tiny", "d" * 64),
        class_names=("a", "b"),
        features=FeatureSummary(backbone="tiny", pooling="avg", width=WIDTH, views=VIEWS),
        seed=0,
        versions={},
    )
    study = Study(folder, replace(record, **changes))
    study.save()
    return study


def trained_again(row: LeaderboardRow, times: int, mean: float, single: float) -> LeaderboardRow:
    """The row as if its head, picked for `single`, had been trained again so many times."""
    repeats = tuple(Repeat(repeat=number, seed=number) for number in range(1, times + 1))
    return replace(row, score=mean, trial=replace(row.trial, score=single, repeats=repeats))


def begin_trial(ledger: Ledger, number: int, units: int = 8) -> Trial:
    """A trial that has no end yet."""
    trial = Trial(
        trial_id=f"t{number:04d}",
        number=number,
        values={"depth": 1},
        head=HeadSpec(layers=(DenseLayer(units),)),
        training=TrainingSpec(),
    )
    ledger.proposed(trial)
    return trial


def fail_trial(ledger: Ledger, number: int, reason: str) -> None:
    """A trial that failed."""
    trial = begin_trial(ledger, number)
    ledger.ended(trial.ended(TrialOutcome(reason=reason, seconds=1.0)))


def write_trial(
    ledger: Ledger,
    number: int,
    correct: np.ndarray | None = None,
    units: int = 8,
    repeats: tuple[np.ndarray, ...] = (),
    score: float | None = None,
) -> str:
    """A completed trial with these answers, and trainings again with those."""
    trial = begin_trial(ledger, number, units)
    value = float(correct.mean()) if correct is not None else score
    outcome = TrialOutcome(
        score=value,
        low=max(0.0, value - 0.02),
        high=min(1.0, value + 0.02),
        best_epoch=2,
        parameters=units,
        seconds=1.0,
        correct="" if correct is None else pack(correct),
    )
    ledger.ended(trial.ended(outcome))
    for place, again in enumerate(repeats, 1):
        repeat = Repeat(
            repeat=place,
            seed=place,
            score=float(again.mean()),
            best_epoch=1,
            seconds=1.0,
            correct=pack(again),
        )
        ledger.repeat(trial.trial_id, repeat)
    return trial.trial_id


def write_probe(ledger: Ledger, name: str, correct: np.ndarray) -> None:
    """A probe with these answers."""
    probe = Trial(trial_id=f"probe-{name}", values={"penalty": 0.1}, kind="probe")
    ledger.proposed(probe)
    score = float(correct.mean())
    found = TrialOutcome(
        score=score,
        low=max(0.0, score - 0.05),
        high=min(1.0, score + 0.05),
        seconds=1.0,
        correct=pack(correct),
    )
    ledger.ended(probe.ended(found))


def results(path: Path) -> list[tuple]:
    """What a ledger says in the end, free of times and of the order in which it was written."""
    said = {}
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event["event"] in ("proposed", "completed", "failed", "repeat"):
            kept = {k: v for k, v in event.items() if k not in UNLIKE}
            said[event["trial_id"], event["event"], event.get("repeat", 0)] = kept
    return sorted((*key, json.dumps(value, sort_keys=True)) for key, value in said.items())


class NoWorkers:
    """Answers every job at once, or late: `delay` jobs are kept back."""

    def __init__(self, answer: Callable[[TrainingJob], Message], size: int = 1) -> None:
        self.answer, self.size = answer, size
        self.jobs: list[TrainingJob] = []
        self.done: list[TrainingJob] = []

    @property
    def free(self) -> bool:
        return len(self.jobs) < self.size

    @property
    def busy(self) -> bool:
        return bool(self.jobs)

    def submit(self, job: TrainingJob) -> None:
        self.jobs.append(job)

    def wait(self) -> Iterator[tuple[TrainingJob, Message]]:
        job = self.jobs.pop()  # the youngest first: the oldest is slow
        self.done.append(job)
        yield job, {"say": "doing", "text": "loading the features"}
        yield job, {"say": "started", "after": 0}
        yield job, self.answer(job)
