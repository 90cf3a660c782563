"""The search: ask the oracle, train the head on cached features, tell the ledger."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from types import FrameType
from typing import Any

import keras

from cars_bench.cache.store import FeatureCache, Features
from cars_bench.data.dataset import Dataset
from cars_bench.errors import CarsBenchError, Interrupted, NoTrialCompleted, TrialFailed
from cars_bench.evaluation.metrics import wilson
from cars_bench.progress import Progress, Task
from cars_bench.training.heads import parameter_count
from cars_bench.training.loop import Epoch, Position
from cars_bench.training.specs import HeadSpec, TrainingSpec, to_json
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.ledger import Ledger, TrialRecord, read_events
from cars_bench.tuning.oracles import Proposer
from cars_bench.tuning.space import Space, Values, load_space, specs_of
from cars_bench.tuning.study import SearchPlan, Study
from cars_bench.tuning.winner import TrainedHead, store_winner, train_head, trial_seed
from cars_bench.workspace import Workspace, locked

FAILURES_IN_A_ROW = 10


@dataclass(frozen=True)
class TuneOptions:
    """What `tune` was asked for.

    Attributes:
        trials: The study's total, so that the same command again resumes.
        oracle: `random`, `bayesian`, `hyperband` or `grid`.
        space: Shipped name or path of a YAML file.
        epochs: Upper bound a trial; `None` leaves it to the space.
        seed: Of the oracle and of the trials; 0 is as good as any.
        study: Name; by default one for the cache.
        cache: Prefix of the cache's key; by default the last one.
    """

    trials: int = 100
    oracle: str = "random"
    space: str = "default"
    epochs: int | None = None
    seed: int = 0
    study: str | None = None
    cache: str | None = None


@dataclass(frozen=True)
class TuneResult:
    """What a search came to.

    Attributes:
        study: The study.
        winner: Its best trial.
        head: That trial's trained head.
        planned: Trials asked for.
        run: Trials with an end, earlier runs included.
    """

    study: Study
    winner: TrialRecord
    head: TrainedHead
    planned: int
    run: int


@dataclass(frozen=True)
class _Search:
    """All that a trial needs."""

    study: Study
    space: Space
    epochs: int | None
    train_set: Features
    val_set: Features
    ledger: Ledger


def tune(workspace: Workspace, options: TuneOptions, progress: Progress) -> TuneResult:
    """Run a study up to `options.trials` trials, going on from what its ledger holds.

    Raises:
        NoTrialCompleted: Not one trial ended well.
        Interrupted: Ctrl-C; what was finished is kept.
        CarsBenchError: Ten trials in a row failed.
    """
    space = load_space(options.space)
    cache = FeatureCache.open(workspace, options.cache)
    dataset = Dataset.load(workspace, cache.manifest.dataset)
    study = Study.open_or_create(workspace, cache, dataset, options.study)
    with locked(study.folder / ".lock", f"A search on study {study.name!r}"):
        backend = keras.backend.backend()
        plan = SearchPlan(space.document, options.oracle, options.seed, options.epochs, backend)
        study = study.settle(plan, options.trials)
        proposer = _proposer(study, space, options)
        with Ledger(study.ledger_path) as ledger:
            data = cache.load("train"), cache.load("val")
            search = _Search(study, space, options.epochs, *data, ledger)
            _run_trials(search, proposer, options.trials, progress)
        winner = best_trial(study)
        progress.log(f"Training the winner {winner.trial_id} once more for its weights")
        head = store_winner(study, winner, cache)
    ended = [record for record in study.trials() if record.kind == "trial"]
    return TuneResult(study, winner, head, options.trials, len(ended))


def _proposer(study: Study, space: Space, options: TuneOptions) -> Proposer:
    longest = options.epochs or int(space.fixed.get("epochs", TrainingSpec.epochs))
    proposer = Proposer(space, options.oracle, options.seed, longest)
    proposer.replay(read_events(study.ledger_path))
    return proposer


def _run_trials(search: _Search, proposer: Proposer, total: int, progress: Progress) -> None:
    records = [item for item in search.study.trials() if item.kind == "trial"]
    failures = _Failures(search.study)
    with (
        progress.stage("Tuning", total, "trials") as task,
        _stop_after_this_trial(progress) as stop,
    ):
        board = _Board(task)
        for number in range(total):
            known = records[number] if number < len(records) else None
            if known and known.status != "running":
                board.count(known)
                continue
            if stop():
                raise _interrupted(search.study, total)
            chosen = known or _propose(search, proposer, number)
            if chosen is None:
                progress.log(f"The oracle has no more to propose after {number} trials.")
                return
            ended = _run_trial(search, chosen)
            proposer.tell(ended.trial_id, ended.score)
            board.count(ended)
            failures.count(ended)


def _propose(search: _Search, proposer: Proposer, number: int) -> TrialRecord | None:
    trial_id = f"t{number:04d}"
    values = proposer.propose(trial_id)
    if values is None:
        return None
    head, training = _specs(search, values)
    record = TrialRecord(trial_id, number, values, to_json(head), to_json(training))
    search.ledger.append(
        "proposed",
        trial_id,
        number=number,
        values=values,
        head=record.head,
        training=record.training,
    )
    return record


def _specs(search: _Search, values: Values) -> tuple[HeadSpec, TrainingSpec]:
    """Specs of a proposal; Hyperband's own `tuner/epochs` bounds the epochs."""
    asked = {"epochs": search.epochs} if search.epochs else {}
    halving = {"epochs": values["tuner/epochs"]} if "tuner/epochs" in values else {}
    return specs_of({**search.space.fixed, **values, **asked, **halving})


def _run_trial(search: _Search, record: TrialRecord) -> TrialRecord:
    """Train one head; its failure is the trial's, not the search's."""
    begun = time.monotonic()
    search.ledger.append("started", record.trial_id)
    try:
        details = _completed(search, record, begun)
    except (TrialFailed, MemoryError) as failure:
        reason = str(failure) or "out of memory"
        details = {"reason": reason, "seconds": round(time.monotonic() - begun, 3)}
        search.ledger.append("failed", record.trial_id, **details)
        return replace(record, status="failed", **details)
    finally:
        keras.backend.clear_session(free_memory=False)
    search.ledger.append("completed", record.trial_id, **details)
    return replace(record, status="completed", **details)


def _completed(search: _Search, record: TrialRecord, begun: float) -> dict[str, Any]:
    head, training = _specs(search, record.values)
    classes, width = len(search.study.class_names), int(search.train_set.x.shape[-1])

    def note(epoch: Epoch, _: Callable[[], Position]) -> None:
        search.ledger.append("epoch", record.trial_id, **asdict(epoch))

    seed = trial_seed(search.study)
    _, done = train_head(head, training, classes, search.train_set, search.val_set, seed, note)
    count = len(search.val_set.labels)
    interval = wilson(round(done.best_top1 * count), count)
    return {
        "score": done.best_top1,
        "low": interval.low,
        "high": interval.high,
        "best_epoch": done.best_epoch,
        "parameters": parameter_count(head, width, classes),
        "seconds": round(time.monotonic() - begun, 3),
    }


class _Board:
    """Says each ended trial and the best so far."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.best: TrialRecord | None = None

    def count(self, record: TrialRecord) -> None:
        if record.score is None:
            self.task.advance(note=f"{record.trial_id} failed")
            self.task.line(f"{record.trial_id}  failed: {record.reason}")
            return
        if self.best is None or record.score > (self.best.score or 0.0):
            self.best = record
        best = f"best {self.best.score:.4f} ({self.best.trial_id})"
        self.task.advance(note=best)
        self.task.line(
            f"{record.trial_id}  val top-1 {record.score:.4f}  {record.seconds:5.1f} s  {best}"
        )


class _Failures:
    """Stops the search when ten trials in a row failed."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.reasons: list[str] = []

    def count(self, record: TrialRecord) -> None:
        self.reasons = [*self.reasons, record.reason] if record.score is None else []
        if len(self.reasons) < FAILURES_IN_A_ROW:
            return
        common = max(set(self.reasons), key=self.reasons.count)
        completed = any(item.status == "completed" for item in self.study.trials())
        kind = CarsBenchError if completed else NoTrialCompleted
        raise kind(
            f"{FAILURES_IN_A_ROW} trials in a row failed, mostly because {common}.",
            "narrow the learning rates of the space, or run cars-bench check",
        )


@contextmanager
def _stop_after_this_trial(progress: Progress) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C lets the running trial finish; a second one stops now."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        progress.log("Stopping after the running trial; press Ctrl-C again to stop now.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(study: Study, total: int) -> Interrupted:
    done = sum(record.status != "running" for record in study.trials())
    return Interrupted(
        f"Stopped with {done} of {total} trials done; all are kept.",
        f"cars-bench tune --trials {total} --study {study.name} goes on",
    )
