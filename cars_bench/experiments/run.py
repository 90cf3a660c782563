"""Runs an experiment: attempt by attempt through the stages, then the test split, once.

The same call again goes on: finished attempts are read from the record, and each stage
goes on where it was stopped, as its command does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from cars_bench.checksums import checksum
from cars_bench.errors import Interrupted, WeightsUnavailable
from cars_bench.experiments import stages
from cars_bench.experiments.experiment import Experiment, Planned
from cars_bench.experiments.forecast import is_done, refuse_unknown, seconds_left
from cars_bench.experiments.names import dataset_name, study_name
from cars_bench.experiments.record import AttemptRecord, ExperimentRecord, begun_record
from cars_bench.experiments.winner import with_winner
from cars_bench.progress import Progress, duration
from cars_bench.tracking.follow import Follow
from cars_bench.workspace import Workspace, locked

T = TypeVar("T")


def run_experiment(
    workspace: Workspace,
    experiment: Experiment,
    source: Path,
    progress: Progress,
    only: Collection[str] = (),
    follow: Follow = lambda study: None,
) -> ExperimentRecord:
    """Run what is not finished yet, choose on validation, and read the test split for the chosen.

    Args:
        workspace: Takes everything that is written.
        experiment: What to do.
        source: Where the pictures are.
        progress: Told what goes on.
        only: Names of the attempts to run; all where it is empty. Nothing is chosen, and no
            test split is read, before all attempts have an end.
        follow: Told the name of each study before its first trial, as a tracker wants it.

    Raises:
        UsageError: `only` names what is no attempt.
        WeightsUnavailable: Of no attempt the weights can be had.
        Interrupted: Ctrl-C; the same call goes on.
    """
    refuse_unknown(experiment, only)
    record = begun_record(workspace, experiment)
    with locked(record.folder(workspace) / ".lock", f"The experiment {record.name}"):
        record = begun_record(workspace, experiment).write(workspace)
        runner = _Runner(
            workspace=workspace,
            experiment=experiment,
            source=source,
            progress=progress,
            record=record,
            follow=follow,
        )
        try:
            runner.run(only)
        except Interrupted as stopped:
            again = f"cars-bench run {experiment.folder} goes on"
            raise Interrupted(stopped.message, again) from None
    return runner.record


@dataclass(kw_only=True)
class _Runner:
    """One session of an experiment; its record grows.

    Attributes:
        workspace: Takes everything.
        experiment: What to do.
        source: Where the pictures are.
        progress: Told what goes on.
        record: What is known, as it stands on disk.
        follow: Told the name of each study.
    """

    workspace: Workspace
    experiment: Experiment
    source: Path
    progress: Progress
    record: ExperimentRecord
    follow: Follow

    def run(self, only: Collection[str]) -> None:
        asked = [item for item in self.experiment.planned if not only or item.name in only]
        for number, wanted in enumerate(asked, 1):
            if self._is_done(wanted):
                self.progress.log(f"[{number}/{len(asked)}] {wanted.name} is finished already")
                continue
            ahead = self._ahead(asked[number - 1 :])
            self.progress.log(f"[{number}/{len(asked)}] {wanted.name}{ahead}")
            self._attempt(wanted)
        if all(self._is_done(item) or self._lacks(item) for item in self.experiment.planned):
            self._judge()

    def _is_done(self, wanted: Planned) -> bool:
        return is_done(self.record, wanted)

    def _lacks(self, wanted: Planned) -> bool:
        """Whether it was passed over, its weights not being here."""
        known = self.record.attempt(wanted.name)
        return known is not None and bool(known.lacking)

    def _ahead(self, left: list[Planned]) -> str:
        count = sum(not self._is_done(item) for item in left)
        seconds = seconds_left(self.experiment, self.record, count)
        return f", about {duration(seconds)} left" if seconds else ""

    def _attempt(self, wanted: Planned) -> None:
        attempt = self._begun(wanted)
        try:
            self._stages(wanted, attempt)
        except WeightsUnavailable as error:
            self.progress.log(f"{wanted.name} is passed over: {error.message}")
            self._keep(replace(attempt, lacking=error.message))

    def _begun(self, wanted: Planned) -> AttemptRecord:
        """The attempt's record: as it stands, else a new one."""
        known = self.record.attempt(wanted.name)
        if known is not None:
            return replace(known, lacking="")
        options = wanted.features.options()
        return AttemptRecord(
            name=wanted.name,
            summary=wanted.attempt.summary,
            digest=checksum(wanted.document()),
            backbone=options.backbone,
            image_size=options.image_size,
            crop=wanted.data.crop or "none",
            published=wanted.attempt.published,
        )

    def _stages(self, wanted: Planned, attempt: AttemptRecord) -> None:
        ready = with_winner(self.workspace, self.record, wanted)
        dataset = dataset_name(self.experiment, wanted)
        attempt, _ = self._timed(attempt, "prepare", lambda: self._prepared(wanted, dataset))
        attempt, key = self._timed(
            attempt,
            "extract",
            lambda: stages.extract_features(self.workspace, wanted, dataset, self.progress),
        )
        if wanted.attempt.checks and not attempt.checks:
            attempt, checks = self._timed(
                attempt, "check", lambda: stages.check_cache(self.workspace, key)
            )
            attempt = self._keep(replace(attempt, checks=checks))
        study = study_name(self.experiment, wanted)
        attempt, found = self._timed(
            attempt,
            "tune",
            lambda: stages.search(self.workspace, ready, study, key, self.progress, self.follow),
        )
        attempt = self._keep(replace(attempt, study=found.study, trial_id=found.trial_id))
        val = found.val
        if wanted.finish:
            attempt, run = self._timed(
                attempt,
                "finetune",
                lambda: stages.finish(self.workspace, wanted, found, self.progress),
            )
            attempt = replace(attempt, run=run.name)
            val = stages.val_of(run)
        self._keep(replace(attempt, val=val, test=None))
        self.progress.log(f"{wanted.name}: validation top-1 {val.top1.value:.1%}")

    def _prepared(self, wanted: Planned, dataset: str) -> None:
        asked = stages.asked_of_data(wanted.data, self.source)
        known = self.record.datasets.get(dataset) == asked
        if known and stages.is_prepared(self.workspace, dataset):
            return
        stages.prepare_data(self.workspace, dataset, wanted.data, self.source, self.progress)
        datasets = self.record.datasets | {dataset: asked}
        self.record = replace(self.record, datasets=datasets).write(self.workspace)

    def _timed(
        self, attempt: AttemptRecord, stage: str, work: Callable[[], T]
    ) -> tuple[AttemptRecord, T]:
        """Do a stage and keep what it took, also where it is interrupted."""
        begun = time.monotonic()
        try:
            result = work()
        except Interrupted:
            self._keep(attempt.spent(stage, time.monotonic() - begun))
            raise
        return self._keep(attempt.spent(stage, time.monotonic() - begun)), result

    def _keep(self, attempt: AttemptRecord) -> AttemptRecord:
        self.record = self.record.having(attempt).write(self.workspace)
        return attempt

    def _judge(self) -> None:
        """Choose on validation; then, and only then, the test split is read."""
        self.record = replace(self.record, chosen=self._best()).write(self.workspace)
        for attempt in self._to_test():
            if attempt.test is None:
                read = stages.read_test(self.workspace, attempt.study, attempt.run, self.progress)
                self._keep(replace(attempt, test=read))

    def _best(self) -> str:
        known = (self.record.attempt(item.name) for item in self.experiment.planned)
        finished = [(item.val, item.name) for item in known if item and item.val]
        if not finished:
            raise WeightsUnavailable(
                f"No attempt of {self.record.name} has its weights here.",
                "change `backbone` in its config.yml, or bring the weights",
            )
        # The first of equals, as everywhere.
        return max(finished, key=lambda item: item[0].top1.value)[1]

    def _to_test(self) -> Iterator[AttemptRecord]:
        asked = {item.name for item in self.experiment.planned if item.attempt.measure == "test"}
        for attempt in self.record.attempts:
            if attempt.finished and attempt.name in (self.record.chosen, *asked):
                yield attempt
