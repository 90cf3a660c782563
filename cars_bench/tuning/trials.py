"""Running the trials of a search: the ledger's writer and the crew's customer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cars_bench.documents import to_json
from cars_bench.errors import CarsBenchError, NoTrialCompleted
from cars_bench.progress import Progress
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.board import Board
from cars_bench.tuning.ledger import Ledger, Trial
from cars_bench.tuning.proposals import Proposals, trial_name
from cars_bench.tuning.seeds import trial_seed
from cars_bench.tuning.space import Values
from cars_bench.tuning.study import Study
from cars_bench.tuning.worker_pool import Job, Message, WorkerPool

FAILURES_IN_A_ROW = 10

SpecsOf = Callable[[Values], tuple[HeadSpec, TrainingSpec]]


class Trials:
    """The trials of a study, from what its ledger holds to the last one planned."""

    def __init__(
        self, study: Study, ledger: Ledger, proposals: Proposals, progress: Progress
    ) -> None:
        self.study, self.ledger, self.proposals = study, ledger, proposals
        self.progress = progress
        self.records = {item.number: item for item in study.trials() if item.kind == "trial"}
        self.failures: list[str] = []

    def run(self, crew: WorkerPool, specs_of: SpecsOf, stop: Callable[[], bool]) -> None:
        """Run what is left.

        Raises:
            CarsBenchError: Ten trials in a row failed.
        """
        total = self.proposals.total
        with self.progress.stage("Tuning", total, "trials") as task:
            board = Board(task)
            drive(
                crew,
                lambda: None if stop() else self._next(board, specs_of),
                lambda job, message: self._heard(board, job, message),
            )
        if self.proposals.exhausted:
            self.progress.log(f"The space holds no more than {len(self.records)} trials.")

    def _next(self, board: Board, specs_of: SpecsOf) -> Job | None:
        """The next trial that has no end yet; ended ones are told on the way."""
        while (found := self.proposals.next()) is not None:
            number, values = found
            record = self.records.get(number) or self._proposed(number, values, specs_of)
            if record.status == "running":
                return self._job(record)
            self.proposals.end(number, record.score)
            board.count(record, earlier=True)
        return None

    def _proposed(self, number: int, values: Values, specs_of: SpecsOf) -> Trial:
        head, training = (to_json(spec) for spec in specs_of(values))
        record = Trial(trial_name(number), number, values, head, training)
        self.ledger.append(
            "proposed", record.trial_id, number=number, values=values, head=head, training=training
        )
        self.records[number] = record
        return record

    def _job(self, record: Trial) -> Job:
        return Job(
            "trial",
            record.trial_id,
            record.head or {},
            record.training or {},
            trial_seed(self.study),
            str(self.study.checkpoint(record.trial_id)),
            len(record.epochs),
        )

    def _heard(self, board: Board, job: Job, message: Message) -> None:
        details = dict(message)
        said = details.pop("say")
        self.ledger.append(said, job.trial_id, **details)
        if said not in ("completed", "failed"):
            return
        record = replace(self.records[int(job.trial_id[1:])], status=said, **details)
        self.records[record.number] = record
        self.study.checkpoint(record.trial_id).unlink(missing_ok=True)
        self.proposals.end(record.number, record.score)
        board.count(record)
        self._count_failure(record)

    def _count_failure(self, record: Trial) -> None:
        self.failures = [*self.failures, record.reason] if record.score is None else []
        if len(self.failures) < FAILURES_IN_A_ROW:
            return
        common = max(set(self.failures), key=self.failures.count)
        completed = any(item.status == "completed" for item in self.records.values())
        kind = CarsBenchError if completed else NoTrialCompleted
        raise kind(
            f"{FAILURES_IN_A_ROW} trials in a row failed, mostly because {common}.",
            "narrow the learning rates of the space, or run cars-bench check",
        )


def drive(
    crew: WorkerPool,
    next_job: Callable[[], Job | None],
    heard: Callable[[Job, Message], None],
) -> None:
    """Keep the crew busy until there is no next job and every one has ended."""
    while True:
        while crew.free and (job := next_job()) is not None:
            crew.submit(job)
        if not crew.busy:
            return
        for job, message in crew.wait():
            heard(job, message)
