"""The stages of one attempt: the functions that the commands call, with what its config says."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cars_bench.cache.extract import extract
from cars_bench.checksums import checksum
from cars_bench.data.dataset import Dataset
from cars_bench.data.prepare import PrepareOptions
from cars_bench.detectors.choose import SOURCE
from cars_bench.detectors.prepare import BoxesAsked, prepare_boxed
from cars_bench.documents import from_json, to_json
from cars_bench.errors import DatasetMissing
from cars_bench.evaluation.metrics import SplitScore, score
from cars_bench.experiments.config import Data
from cars_bench.experiments.experiment import Planned
from cars_bench.experiments.record import KeptCheck
from cars_bench.finetune.evaluate import evaluate_frozen
from cars_bench.finetune.plan import planned, run_folder
from cars_bench.finetune.run import measure_test, perform
from cars_bench.finetune.runs import FINETUNED, Run
from cars_bench.progress import Progress
from cars_bench.tracking.follow import Follow
from cars_bench.tuning.sanity import run_checks
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.tuning.stored_head import WINNER
from cars_bench.tuning.trained_head import read_head
from cars_bench.workspace import Workspace

VAL_ONLY = ("val",)
PREPARED = ("columns", "split", "seed", "crop", "allow_missing")
"""Data that `prepare` takes as it stands."""
FASTEST = "jax"
"""Keras backend that dense heads are searched on where it is installed."""


@dataclass(frozen=True)
class Searched:
    """A search that ended: its study, its best head, and how that does on validation images."""

    study: str
    trial_id: str
    val: SplitScore


def asked_of_data(data: Data, source: Path) -> str:
    """What a dataset is asked to be, as a checksum."""
    return checksum(to_json(data) | {"source": str(source)})


def is_prepared(workspace: Workspace, name: str) -> bool:
    """Whether a dataset of that name is there and whole."""
    try:
        Dataset.load(workspace, name)
    except DatasetMissing:
        return False
    return True


def prepare_data(
    workspace: Workspace, name: str, data: Data, source: Path, progress: Progress
) -> None:
    """As `cars-bench prepare SOURCE --name NAME`."""
    asked = BoxesAsked(
        boxes=data.boxes or SOURCE,
        classes=data.detect_classes,
        threshold=data.detect_threshold,
        margin=data.crop_margin,
    )
    said = data.said()
    paths = data.paths(source)
    options = PrepareOptions(
        source=source,
        name=name,
        **{key: said[key] for key in PREPARED if key in said},
        labels=paths.get("labels"),
        images=paths.get("images"),
    )
    prepare_boxed(workspace, options, asked, progress)


def extract_features(
    workspace: Workspace, wanted: Planned, dataset: str, progress: Progress
) -> str:
    """As `cars-bench extract --dataset NAME`; gives the cache's key."""
    return extract(workspace, wanted.features.options(dataset), progress).key


def check_cache(workspace: Workspace, key: str) -> tuple[KeptCheck, ...]:
    """As `cars-bench check --cache KEY`, but a check that fails stops nothing."""
    return tuple(
        KeptCheck(item.name, item.passed, item.expected, item.saw)
        for item in run_checks(workspace, key)
    )


def search(
    workspace: Workspace, wanted: Planned, study: str, key: str, progress: Progress, follow: Follow
) -> Searched:
    """As `cars-bench tune --study NAME --cache KEY`; `follow` is told of the study."""
    attempt = wanted.attempt
    fastest = FASTEST if importlib.util.find_spec(FASTEST) else None
    options = TuneOptions(
        trials=attempt.trials,
        oracle=attempt.oracle,
        space=wanted.space,
        epochs=attempt.epochs,
        seed=attempt.seed,
        study=study,
        cache=key,
        repeats=attempt.repeats,
        # One trial has every core; JAX compiles its convolutions for minutes.
        workers=None if wanted.space.hyperparameters else 1,
        backend=None if wanted.convolves else fastest,
    )
    result = tune(workspace, options, progress, begun=follow)
    head = read_head(result.study.folder / WINNER)
    return Searched(result.study.name, result.winner.trial_id, score(head.logits, head.labels))


def finish(workspace: Workspace, wanted: Planned, found: Searched, progress: Progress) -> Run:
    """As `cars-bench finetune --study NAME --trial ID`, measured on validation images only."""
    assert wanted.finish is not None
    options = wanted.finish.options(found.study, found.trial_id)
    return perform(workspace, planned(workspace, options, VAL_ONLY), progress)


def val_of(run: Run) -> SplitScore:
    """Accuracy of a finished run on the validation images."""
    found = run.score(FINETUNED, "val")
    assert found is not None
    return found


def read_test(workspace: Workspace, study: str, run: str, progress: Progress) -> SplitScore:
    """Accuracy on the test images of a run, or of a study's winner where `run` is empty."""
    if not run:
        document: dict[str, Any] = evaluate_frozen(workspace, study, "test", progress)
        return from_json(SplitScore, document["frozen"]["test"])
    folder = run_folder(workspace, study, run)
    found = measure_test(workspace, Run.open(folder), progress).score(FINETUNED, "test")
    assert found is not None
    return found
