"""What a search has its workers do, in which order, and what the ledger and the screen hear.

First the trials that the oracle proposes, then the best of them again with new
seeds, since the best of many is lucky too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cars_bench.documents import from_json
from cars_bench.errors import CarsBenchError, NoTrialCompleted
from cars_bench.progress import Progress, Task, duration
from cars_bench.training.checkpoint import EpochResult
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.hyperparameters import Values
from cars_bench.tuning.leaderboard import candidates
from cars_bench.tuning.ledger import Ledger, Repeat, Trial, TrialOutcome
from cars_bench.tuning.proposals import Proposals, trial_name
from cars_bench.tuning.study import Study
from cars_bench.tuning.worker_pool import Message, TrainingJob, WorkerPool

FAILURES_IN_A_ROW = 10
SHOWN = 5
SILENT_SECONDS = 10.0
COLUMNS = ("trial", "val top-1", "95% interval", "best epoch", "seconds", "head")
ENDS = ("completed", "failed")

SpecsOf = Callable[[Values], tuple[HeadSpec, TrainingSpec]]
Stop = Callable[[], bool]


def keep_busy(
    pool: WorkerPool,
    next_job: Callable[[], TrainingJob | None],
    heard: Callable[[TrainingJob, Message], None],
) -> None:
    """Keep the workers busy until there is no next job and every one has ended."""
    while True:
        while pool.free and (job := next_job()) is not None:
            pool.submit(job)
        if not pool.busy:
            return
        for job, message in pool.wait():
            heard(job, message)


class Trials:
    """The trials of a study, from what its ledger holds to the last one planned."""

    def __init__(
        self, study: Study, ledger: Ledger, proposals: Proposals, progress: Progress
    ) -> None:
        self.study = study
        self.ledger = ledger
        self.proposals = proposals
        self.progress = progress
        self.known = {item.number: item for item in study.trials() if item.kind == "trial"}
        self.failures: list[str] = []

    def run(self, pool: WorkerPool, specs_of: SpecsOf, stop: Stop) -> None:
        """Run what is left.

        Raises:
            CarsBenchError: Ten trials in a row failed.
        """
        total = self.proposals.total
        with self.progress.stage("Tuning", total, "trials") as task:
            board = Board(task)
            keep_busy(
                pool,
                lambda: None if stop() else self._next(board, specs_of),
                lambda job, message: self._heard(board, job, message),
            )
        if self.proposals.exhausted:
            self.progress.log(f"The space holds no more than {len(self.known)} trials.")

    def _next(self, board: Board, specs_of: SpecsOf) -> TrainingJob | None:
        """The next trial that has no end yet; ended ones are told on the way."""
        while (found := self.proposals.next()) is not None:
            number, values = found
            trial = self.known.get(number) or self._proposed(number, values, specs_of)
            if trial.status == "running":
                return self._job(trial)
            self.proposals.end(number, trial.score)
            board.count(trial, earlier=True)
        return None

    def _proposed(self, number: int, values: Values, specs_of: SpecsOf) -> Trial:
        head, training = specs_of(values)
        trial = Trial(
            trial_id=trial_name(number), number=number, values=values, head=head, training=training
        )
        self.ledger.proposed(trial)
        self.known[number] = trial
        return trial

    def _job(self, trial: Trial) -> TrainingJob:
        return TrainingJob(
            kind="trial",
            trial_id=trial.trial_id,
            head=trial.head,
            training=trial.training,
            seed=self.study.trial_seed,
            checkpoint=str(self.study.checkpoint(trial.trial_id)),
            known_epochs=len(trial.epochs),
        )

    def _heard(self, board: Board, job: TrainingJob, message: Message) -> None:
        said = message["say"]
        if said == "doing":
            board.task.doing(message["text"])
        elif said == "started":
            self.ledger.started(job.trial_id, int(message["after"]))
        elif said == "epoch":
            row = from_json(EpochResult, message, partly=True)
            self.ledger.epoch(job.trial_id, row)
            board.epoch(job, row)
        elif said in ENDS:
            self._ended(board, job, from_json(TrialOutcome, message, partly=True))

    def _ended(self, board: Board, job: TrainingJob, outcome: TrialOutcome) -> None:
        running = next(item for item in self.known.values() if item.trial_id == job.trial_id)
        trial = running.ended(outcome)
        self.ledger.ended(trial)
        self.known[trial.number] = trial
        tidy_checkpoints(self.study, self.known.values())
        self.proposals.end(trial.number, trial.score)
        board.count(trial)
        self._count_failure(trial)

    def _count_failure(self, trial: Trial) -> None:
        self.failures = [*self.failures, trial.reason] if trial.score is None else []
        if len(self.failures) < FAILURES_IN_A_ROW:
            return
        common = max(set(self.failures), key=self.failures.count)
        completed = any(item.status == "completed" for item in self.known.values())
        kind = CarsBenchError if completed else NoTrialCompleted
        raise kind(
            f"{FAILURES_IN_A_ROW} trials in a row failed, mostly because {common}.",
            "narrow the learning rates of the space, or run cars-bench check",
        )


def tidy_checkpoints(study: Study, trials: Iterable[Trial]) -> None:
    """Delete checkpoints of what has ended, but that of the best trial, which is stored from it.

    Args:
        study: Whose they are.
        trials: All that its ledger holds.

    Raises:
        CarsBenchError: A checkpoint is of none of them, so the ledger was deleted or cut.
    """
    kept = sorted(study.running.glob("*.npz"))
    if not kept:  # as after almost every trial: few train for long
        return
    known = {item.trial_id: item for item in trials}
    scores = {name: item.score for name, item in known.items() if item.score is not None}
    best = max(scores, key=scores.__getitem__, default=None)
    for path in kept:
        trial_id, _, repeat = path.stem.partition("-repeat")
        if trial_id not in known:
            raise CarsBenchError(
                f"{path} belongs to a trial that the ledger does not hold.",
                f"put back {study.ledger_path}, or delete {study.running}, and run again",
            )
        trial = known[trial_id]
        ended = repeat in {str(item.repeat) for item in trial.repeats}
        if ended or (not repeat and trial.status != "running" and trial_id != best):
            path.unlink()


class Repeats:
    """The repeats of a study's best trials that its ledger does not hold yet."""

    def __init__(self, study: Study, ledger: Ledger, count: int, progress: Progress) -> None:
        self.study = study
        self.ledger = ledger
        self.progress = progress
        self.left = [
            self._job(trial, repeat)
            for trial in candidates(study, repeated=False)
            for repeat in range(1, count + 1)
            if repeat not in {item.repeat for item in trial.repeats}
        ]

    def run(self, pool: WorkerPool, stop: Stop) -> None:
        """Run what is left; a failed repeat counts as nothing right."""
        if not self.left:
            return
        with self.progress.stage("Repeating the best", len(self.left), "trainings") as task:
            keep_busy(
                pool,
                lambda: self.left.pop(0) if self.left and not stop() else None,
                lambda job, message: self._heard(task, job, message),
            )

    def _job(self, trial: Trial, repeat: int) -> TrainingJob:
        return TrainingJob(
            kind="repeat",
            trial_id=trial.trial_id,
            head=trial.head,
            training=trial.training,
            seed=self.study.repeat_seed(repeat),
            checkpoint=str(self.study.checkpoint(trial.trial_id, repeat)),
            repeat=repeat,
        )

    def _heard(self, task: Task, job: TrainingJob, message: Message) -> None:
        if message["say"] not in ENDS:
            return
        again = from_json(Repeat, message | {"repeat": job.repeat, "seed": job.seed}, partly=True)
        self.ledger.repeat(job.trial_id, again)
        Path(job.checkpoint).unlink(missing_ok=True)
        outcome = f"failed: {again.reason}" if again.score is None else f"{again.score:.1%}"
        task.advance(note=f"{job.trial_id} {outcome}")
        task.line(f"{job.trial_id} again, seed {job.seed}  val top-1 {outcome}")


class Board:
    """The best few trials of a running search, beside the bar on a terminal, in lines elsewhere.

    Attributes:
        task: What is shown.
        best: The best trials so far, best first.
        silent_seconds: Nothing is told of an epoch until so long after the last line.
    """

    def __init__(self, task: Task, silent_seconds: float = SILENT_SECONDS) -> None:
        self.task = task
        self.best: list[Trial] = []
        self.silent_seconds = silent_seconds
        self._told = time.monotonic()

    def epoch(self, job: TrainingJob, row: EpochResult) -> None:
        """Tell of an epoch where trials take long, as networks from scratch do."""
        if time.monotonic() - self._told < self.silent_seconds:
            return
        assert job.training is not None
        epochs = job.training.epochs
        left = duration(row.seconds * (epochs - row.epoch))
        found = "" if row.val_top1 is None else f"  val top-1 {row.val_top1:.1%}"
        self._line(
            f"{job.trial_id} epoch {row.epoch} of {epochs}  loss {row.train_loss:.4f}{found}"
            f"  {row.seconds:.1f} s, at most {left} left of it"
        )

    def _line(self, text: str) -> None:
        self.task.line(text)
        self._told = time.monotonic()

    def count(self, trial: Trial, earlier: bool = False) -> None:
        """Take an ended trial into account, `earlier` if it ended before this search began."""
        if trial.score is None:
            self.task.advance(note=f"{trial.trial_id} failed", earlier=earlier)
            self._line(f"{trial.trial_id}  failed: {trial.reason}")
            return
        self.best = sorted([*self.best, trial], key=lambda item: -(item.score or 0.0))[:SHOWN]
        first = self.best[0]
        best = f"best training {first.score:.1%} ({first.trial_id})"
        self.task.advance(note=best, earlier=earlier)
        self.task.table(COLUMNS, [_cells(item) for item in self.best])
        self._line(f"{trial.trial_id}  val top-1 {trial.score:.1%}  {trial.seconds:5.1f} s  {best}")


def _cells(trial: Trial) -> tuple[str, ...]:
    """One line of the table."""
    return (
        trial.trial_id,
        f"{trial.score:.1%}",
        f"{100 * (trial.low or 0.0):.1f} to {100 * (trial.high or 0.0):.1f}",
        str(trial.best_epoch),
        f"{trial.seconds:.1f}",
        trial.head.describe() if trial.head else "",
    )
