"""From a head to a finished model, and what it says: `finetune`, `evaluate` and `predict`."""

from __future__ import annotations

from pathlib import Path

from cars_bench.api.places import StrPath, files_of, path_of, place_of, whole
from cars_bench.data.dataset import Split
from cars_bench.finetune.plan import last_plan
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.request import plan_of, require_one_head
from cars_bench.keras_backend import load_keras
from cars_bench.progress import for_stream
from cars_bench.results.evaluation import EvaluationResult
from cars_bench.results.model import ModelResult
from cars_bench.results.prediction import Paths, PredictionResult, predicted
from cars_bench.tracking.follow import Follow, tracked
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace


def finetune(
    *,
    best: bool = False,
    trial: str | None = None,
    top: int | None = None,
    resume: bool = False,
    unfreeze: str | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    schedule: str | None = None,
    recipe: str = "default",
    live: bool = False,
    no_warm_up: bool = False,
    refit: str | None = None,
    seed: int = 0,
    study: str | None = None,
    time: str | None = None,
    track: str | None = None,
    workspace: StrPath | None = None,
    quiet: bool = False,
) -> ModelResult:
    """Put a head back on the backbone and train them end to end; again, it goes on.

    Args:
        best: The winner of the study.
        trial: A trial's id instead.
        top: The N best heads and two random ones; the best of them is given back.
        resume: Go on with the last run; lr, schedule and epochs steer it.
        unfreeze: A block, `last:N`, `from:LAYER`, `all` or `none`.
        epochs: By default the recipe's.
        lr: Peak rate; by default the recipe's.
        schedule: `constant`, `step`, `cosine`, ...; by default the recipe's.
        recipe: A shipped recipe or a YAML file.
        live: Run the whole network on freshly augmented images.
        no_warm_up: Start from a random head, for comparison.
        refit: `train+val` trains on the validation images too, for all epochs.
        seed: Of order, views and a random head.
        study: Name; by default the last one.
        time: What the run may take, such as `20m`; epochs and views are cut to it.
        track: `tensorboard[:FOLDER]` or `mlflow[:ADDRESS or FOLDER]` shows it there.
        workspace: Folder with `cache/`, `tuning/` and `reports/`.
        quiet: No progress.

    Raises:
        StudyMissing: Nothing was tuned, or there is no such trial.
        HandoffFailed: The head does not behave as it did on the cache.
        UsageError: Several heads or none, or options that do not go together.
    """
    begin = require_one_head(best=best, trial=trial, top=top, resume=resume, refit=refit, time=time)
    place = place_of(workspace)
    progress = for_stream(quiet)
    options = FinetuneOptions(
        trial=trial,
        unfreeze=unfreeze,
        **whole(epochs=epochs, seed=seed),
        learning_rate=lr,
        schedule=schedule,
        recipe=recipe,
        live=live,
        warm_up=not no_warm_up,
        refit=refit is not None,
        study=study,
        time=time,
    )
    with tracked(track, place, progress) as follow:
        if top is not None:
            return _top(place, options, top, quiet, follow)
        plan = plan_of(place, options, begin=begin, resume=resume)
        if going := plan or last_plan(place):
            follow(going.study)
        load_keras(progress, "tensorflow")
        from cars_bench.finetune import run

        if plan is None:
            return ModelResult(place, run.resume(place, options, progress))
        return ModelResult(place, run.perform(place, plan, progress))


def evaluate(
    *,
    split: Split = "test",
    model: str | None = None,
    study: str | None = None,
    workspace: StrPath | None = None,
    quiet: bool = False,
) -> EvaluationResult:
    """Measure the fine-tuned model, and its frozen head beside it.

    Args:
        split: `val` or `test`.
        model: `STUDY/RUN`; by default the last one.
        study: The frozen winner of this study instead.
        workspace: Folder with `cache/`, `tuning/` and `reports/`.
        quiet: No progress.

    Raises:
        ModelMissing: There is no such model, or nothing was tuned.
        CacheStale: The dataset changed since.
        UsageError: The model was trained on the split.
    """
    progress = for_stream(quiet)
    load_keras(progress, "tensorflow")
    from cars_bench.finetune.evaluate import evaluate_either

    return EvaluationResult(evaluate_either(place_of(workspace), model, study, split, progress))


def predict(
    paths: Paths,
    *,
    output: StrPath | None = None,
    model: str | None = None,
    heatmaps: StrPath | None = None,
    calibrated: bool = False,
    detector_weights: StrPath | None = None,
    detector_python: StrPath | None = None,
    detector_names: StrPath | None = None,
    workspace: StrPath | None = None,
    quiet: bool = False,
) -> PredictionResult:
    """The five likeliest classes of new images.

    Args:
        paths: Images, or folders searched with their subfolders.
        output: A CSV to write; unlike the command, by default none.
        model: `STUDY/RUN`; by default the last one.
        heatmaps: Folder for Grad-CAM pictures of where the model looked.
        calibrated: Divide by the temperature fitted on validation.
        detector_weights: Where the detector's weights are here.
        detector_python: Python that has detectron2 here.
        detector_names: Where the ONNX detector's names are here.
        workspace: Folder with `cache/`, `tuning/` and `reports/`.
        quiet: No progress.

    Raises:
        InputError: A path is missing, or a folder holds no image.
        ModelMissing: Nothing was fine-tuned.
    """
    progress = for_stream(quiet)
    load_keras(progress, "tensorflow")
    from cars_bench.finetune.predict import PredictOptions

    options = PredictOptions(
        output=Path(),
        model=model,
        heatmaps=path_of(heatmaps),
        calibrated=calibrated,
        detector=files_of(detector_weights, detector_python, detector_names),
    )
    return predicted(place_of(workspace), paths, options, path_of(output), progress)


def _top(
    place: Workspace, options: FinetuneOptions, count: int, quiet: bool, follow: Follow
) -> ModelResult:
    follow(Study.open(place, options.study).name)
    progress = for_stream(quiet)
    load_keras(progress, "tensorflow")
    from cars_bench.finetune.top import finetune_top

    found = finetune_top(place, options, count, progress)
    return ModelResult(place, found.best, found.ranking)
