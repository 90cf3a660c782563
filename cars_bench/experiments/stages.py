"""The stages of one attempt: the functions that the commands call, with what its config says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cars_bench import keras_backend
from cars_bench.cache.extract import extract
from cars_bench.cache.store import FeatureCache, holds_maps
from cars_bench.data.box_sheet import write_sheet
from cars_bench.data.dataset import Dataset
from cars_bench.detectors.prepare import prepare_boxed
from cars_bench.documents import from_json
from cars_bench.evaluation.boxes import BoxScore, box_score
from cars_bench.evaluation.metrics import SplitScore, score
from cars_bench.experiments.experiment import Planned
from cars_bench.experiments.record import KeptCheck
from cars_bench.experiments.sources import prepare_options
from cars_bench.finetune.artifacts import answers_table
from cars_bench.finetune.evaluate import evaluate_frozen
from cars_bench.finetune.plan import planned, run_folder
from cars_bench.finetune.run import measure_test, perform
from cars_bench.finetune.runs import FINETUNED, Run
from cars_bench.progress import Progress
from cars_bench.tracking.follow import Follow
from cars_bench.tuning.sanity import run_checks
from cars_bench.tuning.search import TuneOptions, tune
from cars_bench.tuning.trained_head import TrainedHead
from cars_bench.workspace import Workspace

VAL_ONLY = ("val",)


@dataclass(frozen=True)
class Measured:
    """How an attempt does on a split.

    Attributes:
        score: Its accuracy.
        boxes: How good its boxes are; `None` where it tells none.
    """

    score: SplitScore
    boxes: BoxScore | None = None


@dataclass(frozen=True)
class Searched:
    """A search that ended: its study, its best head, and how that does on validation images."""

    study: str
    trial_id: str
    val: Measured


def prepare_data(
    workspace: Workspace, name: str, wanted: Planned, source: Path, progress: Progress
) -> Dataset:
    """As `cars-bench prepare SOURCE --name NAME`."""
    options, asked = prepare_options(wanted.data, source)
    dataset = prepare_boxed(workspace, replace(options, name=name), asked, progress)
    if dataset.card.detection:
        progress.log(f"boxes drawn: {write_sheet(dataset)}")
    return dataset


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
    fastest = keras_backend.fastest_first(holds_maps(workspace, key))
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
        backend=keras_backend.wanted(*fastest),
    )
    result = tune(workspace, options, progress, begun=follow)
    head = result.head
    measured = Measured(score(head.logits, head.labels), _boxes(workspace, key, head))
    return Searched(result.study.name, result.winner.trial_id, measured)


def _boxes(workspace: Workspace, key: str, head: TrainedHead) -> BoxScore | None:
    """How good the boxes are that a head told of the validation images."""
    if head.boxes is None:
        return None
    dataset = Dataset.load(workspace, FeatureCache.open(workspace, key).manifest.dataset)
    labels = head.labels.tolist()
    said = answers_table(dataset, head.image_ids, head.witness, head.class_names, labels)
    return box_score(said, dataset.object_boxes)


def finish(workspace: Workspace, wanted: Planned, found: Searched, progress: Progress) -> Run:
    """As `cars-bench finetune --study NAME --trial ID`, measured on validation images only."""
    assert wanted.finish is not None
    options = wanted.finish.options(found.study, found.trial_id)
    return perform(workspace, planned(workspace, options, VAL_ONLY), progress)


def measured(run: Run, split: str) -> Measured:
    """How a finished run does on a split that it was measured on."""
    found = run.score(FINETUNED, split)
    assert found is not None
    return Measured(found, run.record.boxes.finetuned.get(split))


def read_test(workspace: Workspace, study: str, run: str, progress: Progress) -> Measured:
    """How a run does on the test images, or a study's winner where `run` is empty."""
    if run:
        found = measure_test(workspace, Run.open(run_folder(workspace, study, run)), progress)
        return measured(found, "test")
    document = evaluate_frozen(workspace, study, "test", progress)
    boxes = document["boxes"]["frozen"].get("test")
    return Measured(
        from_json(SplitScore, document["frozen"]["test"]),
        from_json(BoxScore, boxes) if boxes else None,
    )
