"""The search: ask the oracle, have workers train the heads, write the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from shlex import quote

import keras
import yaml

from cars_bench.atomic import write_text
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset
from cars_bench.data.object_boxes import object_images
from cars_bench.documents import at_least
from cars_bench.errors import Interrupted, UsageError
from cars_bench.interrupts import stop_when_asked
from cars_bench.progress import Progress
from cars_bench.training.heads import require_map
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.hyperparameters import Values
from cars_bench.tuning.leaderboard import best_trial, winners_curse
from cars_bench.tuning.ledger import Ledger, Trial
from cars_bench.tuning.oracles import KINDS, Proposer, SingleTrial, hyperband_brackets
from cars_bench.tuning.proposals import Oracle, Proposals
from cars_bench.tuning.scheduling import Repeats, Trials, tidy_checkpoints
from cars_bench.tuning.space import Space, load_space
from cars_bench.tuning.stored_head import WINNER, is_stored
from cars_bench.tuning.study import Asked, SearchPlan, Study, Winner
from cars_bench.tuning.trained_head import TrainedHead, read_head
from cars_bench.tuning.worker_pool import TrainingJob, WorkerConfig, WorkerPool, default_workers
from cars_bench.workspace import Workspace, locked

TestScore = Callable[[Study, str], float | None]

WINDOW = 4
SPACE_FILE = "space.yaml"
REFITS = ("", "train+val")
STOPPING = "Stopping after the running trials; press Ctrl-C again to stop now."


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """What `tune` was asked for.

    Attributes:
        trials: The study's total, so that the same command again resumes.
        oracle: `random`, `bayesian`, `hyperband` or `grid`.
        space: Shipped name, path of a YAML file, or the space itself.
        epochs: Upper bound a trial; `None` leaves it to the space.
        seed: Of the oracle and of the trials; 0 is as good as any.
        study: Name; by default one for the cache.
        cache: Prefix of the cache's key; by default the last one.
        workers: Processes that train; `None` is one a core, up to four.
        repeats: New seeds that the best five are trained again with.
        refit: `train+val` trains the winner's weights on both splits.
        backend: That Keras runs on where heads are trained; `None` is this process's own.
    """

    trials: int = 100
    oracle: str = "random"
    space: str | Space = "default"
    epochs: int | None = None
    seed: int = 0
    study: str | None = None
    cache: str | None = None
    workers: int | None = None
    repeats: int = 3
    refit: str = ""
    backend: str | None = None

    def __post_init__(self) -> None:
        for name in ("trials", "epochs", "workers"):
            at_least(name, 1 if getattr(self, name) is None else getattr(self, name), 1)
        for name in ("seed", "repeats"):
            at_least(name, getattr(self, name), 0)


@dataclass(frozen=True)
class BracketsRun:
    """How many trials of one kind of Hyperband's brackets were planned, and have an end."""

    number: int
    planned: int
    run: int


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """What a search came to.

    Attributes:
        study: The study.
        winner: Its best trial.
        head: That trial's trained head.
        planned: Trials asked for.
        run: Trials with an end, earlier runs included.
        brackets: Of Hyperband, the longest first.
    """

    study: Study
    winner: Trial
    head: TrainedHead
    planned: int
    run: int
    brackets: list[BracketsRun]


def tune(
    workspace: Workspace,
    options: TuneOptions,
    progress: Progress,
    test_top1_of: TestScore = lambda study, trial_id: None,
    begun: Callable[[str], None] = lambda study: None,
) -> TuneResult:
    """Run a study up to `options.trials` trials, going on from what its ledger holds.

    Args:
        workspace: Holds dataset and cache.
        options: What is asked for.
        progress: Told what goes on.
        test_top1_of: Test top-1 of a trial's frozen head, where a later stage measured it.
        begun: Told the study's name before its first trial.

    Raises:
        NoTrialCompleted: Not one trial ended well.
        Interrupted: Ctrl-C; what was finished is kept.
        CarsBenchError: Ten trials in a row failed.
        UsageError: The space's heads cannot be trained on these features.
    """
    _refuse_unknown(options)
    space = options.space if isinstance(options.space, Space) else load_space(options.space)
    cache = FeatureCache.open(workspace, options.cache)
    dataset = Dataset.load(workspace, cache.manifest.dataset)
    _refuse_unfit(space, cache, dataset)
    study = Study.open_or_create(workspace, cache, dataset, options.study)
    with locked(study.folder / ".lock", f"A search on study {study.name!r}"):
        study = _settled(study, space, options)
        begun(study.name)
        winner = _searched(workspace, study, space, options, progress)
        study = _with_winner(study, winner, options, test_top1_of)
    return TuneResult(
        study=study,
        winner=winner,
        head=read_head(study.folder / WINNER),
        planned=options.trials if space.hyperparameters else 1,
        run=_ended(study),
        brackets=_brackets(study, space, options),
    )


def _refuse_unknown(options: TuneOptions) -> None:
    """Refuse what cannot be before a study is begun with it."""
    if options.oracle not in KINDS:
        raise UsageError(
            f"There is no oracle {options.oracle!r}.", f"choose one of {', '.join(KINDS)}"
        )
    if options.refit not in REFITS:
        raise UsageError(f"There is no refit {options.refit!r}.", "--refit train+val, or leave it")


def _refuse_unfit(space: Space, cache: FeatureCache, dataset: Dataset) -> None:
    """Refuse heads that these features cannot train, before a study is begun with them.

    Raises:
        UsageError: Convolutions on pooled features, or boxes of cropped or boxless pictures.
    """
    require_map(space.head, cache.manifest.shape)
    if space.has_boxes:
        object_images(dataset, "train")


def _settled(study: Study, space: Space, options: TuneOptions) -> Study:
    plan = SearchPlan(
        space=space.document,
        oracle=options.oracle,
        seed=options.seed,
        epochs=options.epochs,
        backend=options.backend or keras.backend.backend(),
    )
    study = study.settle(plan, options.trials)
    window = study.record.window or max(WINDOW, options.workers or 0)
    return study.changed(window=window, asked=Asked(_space_file(study, options), options.repeats))


def _space_file(study: Study, options: TuneOptions) -> str:
    """What `--space` takes; a space that has no file is written beside the study."""
    if not isinstance(options.space, Space):
        return options.space
    path = study.folder / SPACE_FILE
    write_text(path, yaml.safe_dump(options.space.document, sort_keys=False))
    return str(path)


def _searched(
    workspace: Workspace, study: Study, space: Space, options: TuneOptions, progress: Progress
) -> Trial:
    """Run trials and repeats, store the winner's head, and return its trial."""
    size = options.workers or default_workers()
    config = WorkerConfig(
        workspace=str(workspace.root),
        study=study.name,
        cache_key=study.cache_key,
        classes=len(study.class_names),
    )
    with (
        Ledger(study.ledger_path) as ledger,
        stop_when_asked(progress, STOPPING) as stop,
        WorkerPool(size, config, study.folder, progress.log, study.record.backend) as pool,
    ):
        tidy_checkpoints(study, study.trials())
        total = _total(study, space, options)
        if not space.hyperparameters:
            progress.log("The space varies nothing: it has one trial.")
        _start(pool, total - _ended(study), progress)
        trials = Trials(study, ledger, _proposals(study, space, options, total), progress)
        trials.run(pool, _specs_of(space, options), stop)
        _unless_stopped(stop, study, options.trials)
        Repeats(study, ledger, options.repeats, progress).run(pool, stop)
        _unless_stopped(stop, study, options.trials)
        winner = best_trial(study)
        _store(pool, study, winner, options.refit, progress)
        for path in study.running.glob("*.npz"):  # all that they are of has ended
            path.unlink()
    return winner


def _start(pool: WorkerPool, trials: int, progress: Progress) -> None:
    count = min(pool.size, trials)
    if count > 0:
        progress.log(f"Starting {count} {'worker' if count == 1 else 'workers'}")
        pool.start(count)


def _total(study: Study, space: Space, options: TuneOptions) -> int:
    """Trials to run: for Hyperband whole brackets only, unless not even one fits."""
    if not space.hyperparameters:
        return 1
    if options.oracle != "hyperband":
        return options.trials
    fitting = sum(
        item.trials for item in hyperband_brackets(_longest(space, options), options.trials)
    )
    return max(fitting or options.trials, len(_trials(study)))


def _longest(space: Space, options: TuneOptions) -> int:
    return options.epochs or space.epochs


def _proposals(study: Study, space: Space, options: TuneOptions, total: int) -> Proposals:
    oracle: Oracle = SingleTrial()
    if space.hyperparameters:
        oracle = Proposer(space, options.oracle, options.seed, _longest(space, options))
    known = [item.values for item in _trials(study)]
    return Proposals(oracle, study.record.window or WINDOW, total, known)


def _trials(study: Study) -> list[Trial]:
    return [item for item in study.trials() if item.kind == "trial"]


def _ended(study: Study) -> int:
    return sum(item.status != "running" for item in _trials(study))


def _specs_of(
    space: Space, options: TuneOptions
) -> Callable[[Values], tuple[HeadSpec, TrainingSpec]]:
    """Specs of a proposal; Hyperband's own `tuner/epochs` bounds the epochs."""

    def specs(values: Values) -> tuple[HeadSpec, TrainingSpec]:
        asked = {"epochs": options.epochs} if options.epochs else {}
        halving = {"epochs": values["tuner/epochs"]} if "tuner/epochs" in values else {}
        return space.specs({**values, **asked, **halving})

    return specs


def _store(pool: WorkerPool, study: Study, winner: Trial, refit: str, progress: Progress) -> None:
    """Have a worker store the winner's weights, unless they are there.

    It trains it once more for them, unless the checkpoint of its training is still there.
    """
    if is_stored(study.folder / WINNER, winner.trial_id, refit):
        return
    kept = study.checkpoint(winner.trial_id)
    if refit or not kept.is_file():
        progress.log(
            f"Training the winner {winner.trial_id} once more for its weights"
            + (" on training and validation images" if refit else "")
        )
    pool.submit(TrainingJob(kind="store", trial_id=winner.trial_id, refit=refit))
    while pool.busy:
        for _, message in pool.wait():
            if message["say"] == "failed":
                raise UsageError(
                    f"The winner {winner.trial_id} could not be trained again: "
                    f"{message['reason']}.",
                    "cars-bench check",
                )


def _with_winner(
    study: Study, winner: Trial, options: TuneOptions, test_top1_of: TestScore
) -> Study:
    found = Winner(trial_id=winner.trial_id, refit=options.refit)
    curse = winners_curse(study, test_top1_of(study, winner.trial_id))
    return study.changed(winner=replace(found, **asdict(curse)) if curse else found)


def _brackets(study: Study, space: Space, options: TuneOptions) -> list[BracketsRun]:
    if options.oracle != "hyperband" or not space.hyperparameters:
        return []
    fitting = hyperband_brackets(_longest(space, options), options.trials)
    planned = Counter[int]()
    for item in fitting:
        planned[item.number] += item.trials
    ended = [item for item in _trials(study) if item.status != "running"]
    run = Counter(int(item.values["tuner/bracket"]) for item in ended)
    return [
        BracketsRun(number, planned[number], run[number])
        for number in sorted(planned | run, reverse=True)
    ]


def _unless_stopped(stop: Callable[[], bool], study: Study, total: int) -> None:
    if not stop():
        return
    raise Interrupted(
        f"Stopped with {_ended(study)} of {total} trials done; all are kept.",
        f"cars-bench tune --trials {total} --study {quote(study.name)} goes on",
    )
