"""Training the best heads again with new seeds, since the best of many is lucky too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cars_bench.progress import Progress, Task
from cars_bench.tuning.leaderboard import candidates
from cars_bench.tuning.ledger import Ledger, Trial
from cars_bench.tuning.seeds import repeat_seed
from cars_bench.tuning.study import Study
from cars_bench.tuning.trials import drive
from cars_bench.tuning.worker_pool import Job, Message, WorkerPool

KEPT = ("score", "best_epoch", "seconds", "correct", "reason")


class Repeats:
    """The repeats of a study's best trials that its ledger does not hold yet."""

    def __init__(self, study: Study, ledger: Ledger, count: int, progress: Progress) -> None:
        self.study, self.ledger, self.progress = study, ledger, progress
        self.left = [
            self._job(record, repeat)
            for record in candidates(study, repeated=False)
            for repeat in range(1, count + 1)
            if repeat not in {event["repeat"] for event in record.repeats}
        ]

    def run(self, crew: WorkerPool, stop: Callable[[], bool]) -> None:
        """Run what is left; a failed repeat counts as nothing right."""
        if not self.left:
            return
        with self.progress.stage("Repeating the best", len(self.left), "trainings") as task:
            drive(
                crew,
                lambda: self.left.pop(0) if self.left and not stop() else None,
                lambda job, message: self._heard(task, job, message),
            )

    def _job(self, record: Trial, repeat: int) -> Job:
        return Job(
            "repeat",
            record.trial_id,
            record.head or {},
            record.training or {},
            repeat_seed(self.study, repeat),
            str(self.study.checkpoint(record.trial_id, repeat)),
            repeat=repeat,
        )

    def _heard(self, task: Task, job: Job, message: Message) -> None:
        if message["say"] not in ("completed", "failed"):
            return
        details = {key: message[key] for key in KEPT if key in message}
        self.ledger.append("repeat", job.trial_id, repeat=job.repeat, seed=job.seed, **details)
        Path(job.checkpoint).unlink(missing_ok=True)
        outcome = (
            f"{message['score']:.4f}" if "score" in message else f"failed: {message['reason']}"
        )
        task.advance(note=f"{job.trial_id} {outcome}")
        task.line(f"{job.trial_id} again, seed {job.seed}  val top-1 {outcome}")
