"""Instant anchors: what simple, well-understood classifiers make of the same features.

They stand in the leaderboard beside the trials; a deep head that does not
beat them is not worth its parameters.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from cars_bench.cache.store import FeatureCache, Features
from cars_bench.data.dataset import Dataset
from cars_bench.errors import UsageError
from cars_bench.evaluation.metrics import wilson
from cars_bench.progress import Progress
from cars_bench.tuning.ledger import Ledger, Trial
from cars_bench.tuning.ranking import pack
from cars_bench.tuning.study import Study, current_name
from cars_bench.workspace import Workspace, locked

RIDGE_PENALTIES = tuple(10.0**power for power in range(-2, 6))
LOGISTIC_PENALTIES = (0.01, 0.1, 1.0)
NEIGHBOURS = (1, 5, 10, 20)
LOGISTIC_ITERATIONS = 200

Floats = npt.NDArray[np.float32]
Candidate = tuple[dict[str, Any], npt.NDArray[np.int64]]


def require_pooled(cache: FeatureCache, what: str) -> None:
    """Refuse a cache of maps.

    Raises:
        UsageError: Says what takes pooled features only.
    """
    if cache.manifest.holds_maps:
        sides = " x ".join(map(str, cache.manifest.shape))
        raise UsageError(
            f"{what} take pooled features, and the cache {cache.key} holds maps of {sides}.",
            "--cache KEY of another one (cars-bench cache ls), or extract --pooling avg",
        )


@dataclass(frozen=True)
class ProbeData:
    """Standardised features `[N, D]` of both splits, float32, and their labels."""

    train: Floats
    train_labels: npt.NDArray[np.int64]
    val: Floats
    val_labels: npt.NDArray[np.int64]


def run_probes(
    workspace: Workspace, cache_prefix: str | None, study_name: str | None, progress: Progress
) -> Study:
    """Run every probe that the study's ledger does not hold yet.

    Without a name it is the last study made or used, if that is on the cache, so that a
    probe never changes what `finetune --best` takes.

    Returns:
        The study, whose ledger now holds `probe-ridge`, `probe-logistic` and `probe-knn`.

    Raises:
        UsageError: The cache holds maps.
    """
    cache = FeatureCache.open(workspace, cache_prefix)
    require_pooled(cache, "Probes")
    dataset = Dataset.load(workspace, cache.manifest.dataset)
    name = study_name or current_name(workspace, cache)
    study = Study.open_or_create(workspace, cache, dataset, name)
    with locked(study.folder / ".lock", f"A search on study {study.name!r}"):
        known = {trial.trial_id for trial in study.trials() if trial.status == "completed"}
        missing = {name: probe for name, probe in PROBES.items() if name not in known}
        if not missing:
            return study
        data = standardised(cache.load("train", 1), cache.load("val"))
        with (
            Ledger(study.ledger_path) as ledger,
            progress.stage("Probing", len(missing), "probes") as task,
        ):
            for name, probe in missing.items():
                trial = _measured(name, probe, data)
                ledger.proposed(trial)
                ledger.ended(trial)
                task.advance(note=f"{name} {trial.score:.1%}")
                task.line(f"{name}  val top-1 {trial.score:.1%}  {trial.seconds:.1f} s")
    return study


def ridge(data: ProbeData) -> Iterator[Candidate]:
    """Least squares on one-hot targets for every penalty from one decomposition."""
    classes = int(data.train_labels.max()) + 1
    targets = np.eye(classes)[data.train_labels] - 1.0 / classes
    values, vectors = linalg.eigh(data.train.T.astype(np.float64) @ data.train)
    projected = vectors.T @ (data.train.T @ targets)
    rotated = data.val @ vectors
    for penalty in RIDGE_PENALTIES:
        scores = rotated @ (projected / (values + penalty)[:, None])
        yield {"penalty": penalty}, scores.argmax(1)


def logistic(data: ProbeData) -> Iterator[Candidate]:
    """Multinomial logistic regression by L-BFGS, each weaker penalty going on from the last."""
    model = LogisticRegression(max_iter=LOGISTIC_ITERATIONS, warm_start=True)
    for strength in LOGISTIC_PENALTIES:
        model.set_params(C=strength / len(data.train) * 100)
        with warnings.catch_warnings():
            # A capped probe is still a lower bound of what the features give.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(data.train, data.train_labels)
        yield {"C": model.C}, model.predict(data.val)


def knn(data: ProbeData) -> Iterator[Candidate]:
    """Nearest neighbours by cosine similarity, weighted by it."""
    for count in NEIGHBOURS:
        model = KNeighborsClassifier(
            min(count, len(data.train)), metric="cosine", weights="distance"
        )
        model.fit(data.train, data.train_labels)
        yield {"neighbours": count}, model.predict(data.val)


PROBES: dict[str, Callable[[ProbeData], Iterator[Candidate]]] = {
    "probe-ridge": ridge,
    "probe-logistic": logistic,
    "probe-knn": knn,
}


def standardised(train: Features, val: Features) -> ProbeData:
    """Both splits, each feature with the training split's mean 0 and deviation 1."""
    raw = np.asarray(train.x[:, 0], np.float32)
    raw_val = np.asarray(val.x[:, 0], np.float32)
    mean = raw.mean(0)
    deviation = raw.std(0) + 1e-6
    return ProbeData(
        train=(raw - mean) / deviation,
        train_labels=train.labels,
        val=(raw_val - mean) / deviation,
        val_labels=val.labels,
    )


def _measured(
    name: str, probe: Callable[[ProbeData], Iterator[Candidate]], data: ProbeData
) -> Trial:
    begun = time.monotonic()
    found = [(np.asarray(said == data.val_labels), values) for values, said in probe(data)]
    correct, values = max(found, key=lambda item: int(item[0].sum()))
    interval = wilson(int(correct.sum()), len(correct))
    return Trial(
        trial_id=name,
        values=values,
        kind="probe",
        status="completed",
        score=interval.value,
        low=interval.low,
        high=interval.high,
        correct=pack(correct),
        seconds=round(time.monotonic() - begun, 3),
    )
