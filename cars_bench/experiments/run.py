"""Runs an experiment: the pictures, then attempt by attempt, then the test split, once.

The same call again goes on: finished attempts are read from the record, and each stage
goes on where it was stopped, as its command does.  What is finished depends on what the
datasets hold, so these are prepared first, and again where their source has changed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from cars_bench.checksums import checksum
from cars_bench.errors import CarsBenchError, Interrupted, WeightsUnavailable
from cars_bench.experiments import stages
from cars_bench.experiments.experiment import Experiment, Planned, run_command
from cars_bench.experiments.forecast import is_done, refuse_unknown, seconds_left
from cars_bench.experiments.record import AttemptRecord, ExperimentRecord, begun_record
from cars_bench.experiments.refuse import located, refuse_impossible
from cars_bench.experiments.sources import Sourced, state_of
from cars_bench.experiments.winner import with_winner
from cars_bench.interrupts import INTERRUPTED
from cars_bench.progress import Progress, duration
from cars_bench.tracking.follow import Follow
from cars_bench.tuning.study import study_names
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
        follow: Told the name of each study before its first trial, as a tracker wants it, and
            of those that are there from earlier sessions.

    Raises:
        UsageError: `only` names what is no attempt, or an attempt asks what cannot be.
        WeightsUnavailable: Of no attempt the weights can be had.
        Interrupted: Ctrl-C; the same call goes on.
    """
    refuse_unknown(experiment, only)
    refuse_impossible(experiment, progress)
    record = begun_record(workspace, experiment)
    with locked(record.folder(workspace) / ".lock", f"The experiment {record.name}"):
        record = begun_record(workspace, experiment).write(workspace)
        runner = _Runner(
            workspace=workspace,
            sourced=Sourced(experiment=experiment, path=source.expanduser().resolve()),
            progress=progress,
            record=record,
            follow=follow,
        )
        try:
            runner.run(only)
        except Interrupted as stopped:
            raise Interrupted(stopped.message, _again(runner, only)) from None
        except KeyboardInterrupt:
            raise Interrupted(INTERRUPTED.message, _again(runner, only)) from None
    return runner.record


@dataclass(kw_only=True)
class _Runner:
    """One session of an experiment; its record grows.

    Attributes:
        workspace: Takes everything.
        sourced: What to do, and where the pictures are.
        progress: Told what goes on.
        record: What is known, as it stands on disk.
        follow: Told the name of each study.
        contents: Digest of each attempt's dataset, where it is prepared, by the attempt's name.
    """

    workspace: Workspace
    sourced: Sourced
    progress: Progress
    record: ExperimentRecord
    follow: Follow
    contents: dict[str, str] = field(default_factory=dict)

    @property
    def experiment(self) -> Experiment:
        """What to do."""
        return self.sourced.experiment

    def run(self, only: Collection[str]) -> None:
        self._follow_earlier()
        asked = [item for item in self.experiment.planned if not only or item.name in only]
        self._refuse_unready(asked)
        self._prepare(asked)
        for number, wanted in enumerate(asked, 1):
            if self._is_done(wanted):
                self.progress.log(f"[{number}/{len(asked)}] {wanted.name} is finished already")
                continue
            ahead = self._ahead(asked[number - 1 :])
            self.progress.log(f"[{number}/{len(asked)}] {wanted.name}{ahead}")
            with self._naming(wanted):
                self._attempt(wanted)
        if all(self._is_done(item) or self._lacks(item) for item in self.experiment.planned):
            self._judge()

    def _refuse_unready(self, asked: list[Planned]) -> None:
        """Refuse, before anything is prepared, to take the winner of a search nobody asks for."""
        names = [item.name for item in asked]
        for wanted in asked:
            known = self.record.attempt(wanted.winner_of)
            if wanted.winner_of not in names and not (known and known.lacking):
                with_winner(self.workspace, self.record, wanted)

    def _follow_earlier(self) -> None:
        there = study_names(self.workspace)
        for attempt in self.record.attempts:
            if attempt.study in there:
                self.follow(attempt.study)

    def _prepare(self, asked: list[Planned]) -> None:
        """Prepare every dataset, then forget what was done on other pictures."""
        self.contents = self.sourced.contents(self.workspace, self.record.datasets)
        for wanted in self.experiment.planned:
            begun = wanted in asked or self.record.attempt(wanted.name)
            if begun and wanted.name not in self.contents:
                with self._naming(wanted):
                    content = self._prepare_one(wanted)
                self.contents |= dict.fromkeys(self.sourced.sharing(wanted), content)
        self.record = self.record.of_data(self.contents).write(self.workspace)

    def _prepare_one(self, wanted: Planned) -> str:
        """Prepare an attempt's dataset; gives its digest."""
        before = self._begun(wanted)
        after, content = self._timed(before, "prepare", lambda: self._prepared(wanted))
        if not after.is_of(content):
            took = after.wall_seconds - before.wall_seconds
            self._keep(self._fresh(wanted).spent("prepare", took))
        return content

    @contextlib.contextmanager
    def _naming(self, wanted: Planned) -> Iterator[None]:
        """Say of an error which attempt it stopped."""
        try:
            yield
        except Interrupted:
            raise
        except CarsBenchError as error:
            raise located(self.experiment, wanted, error) from error

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
        attempt = self._keep(replace(self._begun(wanted), data=self.contents[wanted.name]))
        try:
            self._stages(wanted, attempt)
        except WeightsUnavailable as error:
            self.progress.log(f"{wanted.name} is passed over: {error.message}")
            self._keep(replace(self._begun(wanted), lacking=error.message))

    def _begun(self, wanted: Planned) -> AttemptRecord:
        """The attempt's record: as it stands, else a new one."""
        known = self.record.attempt(wanted.name)
        return self._fresh(wanted) if known is None else replace(known, lacking="")

    def _fresh(self, wanted: Planned) -> AttemptRecord:
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
        dataset = self.sourced.dataset(wanted)
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
        study = self.sourced.study(wanted, attempt.data)
        attempt, found = self._timed(
            attempt,
            "tune",
            lambda: stages.search(self.workspace, ready, study, key, self.progress, self.follow),
        )
        attempt = self._keep(replace(attempt, study=found.study, trial_id=found.trial_id))
        measured = found.val
        if wanted.finish:
            attempt, run = self._timed(
                attempt,
                "finetune",
                lambda: stages.finish(self.workspace, wanted, found, self.progress),
            )
            attempt = replace(attempt, run=run.name)
            measured = stages.measured(run, "val")
        val = measured.score
        self._keep(replace(attempt, val=val, val_boxes=measured.boxes, test=None, test_boxes=None))
        self.progress.log(f"{wanted.name}: validation top-1 {val.top1.value:.1%}")

    def _prepared(self, wanted: Planned) -> str:
        """Prepare an attempt's dataset; gives its digest."""
        name = self.sourced.dataset(wanted)
        dataset = stages.prepare_data(
            self.workspace, name, wanted, self.sourced.path, self.progress
        )
        state = state_of(dataset, self.sourced.data(wanted))
        datasets = self.record.datasets | {name: state}
        self.record = replace(self.record, datasets=datasets).write(self.workspace)
        return dataset.digest

    def _timed(
        self, attempt: AttemptRecord, stage: str, work: Callable[[], T]
    ) -> tuple[AttemptRecord, T]:
        """Do a stage and keep what it took, however it ends."""
        begun = time.monotonic()
        try:
            result = work()
        finally:
            attempt = self._keep(attempt.spent(stage, time.monotonic() - begun))
        return attempt, result

    def _keep(self, attempt: AttemptRecord) -> AttemptRecord:
        self.record = self.record.having(attempt).write(self.workspace)
        return attempt

    def _judge(self) -> None:
        """Choose on validation; then, and only then, the test split is read."""
        self.record = replace(self.record, chosen=self._best()).write(self.workspace)
        for attempt in self._to_test():
            if attempt.test is None:
                self._test(attempt)

    def _test(self, attempt: AttemptRecord) -> None:
        after, read = self._timed(
            attempt,
            "test",
            lambda: stages.read_test(self.workspace, attempt.study, attempt.run, self.progress),
        )
        self._keep(replace(after, test=read.score, test_boxes=read.boxes))

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


def _again(runner: _Runner, only: Collection[str]) -> str:
    """What goes on."""
    folder, source = runner.experiment.folder, str(runner.sourced.path)
    return f"{run_command(folder, source, runner.workspace, only)} goes on"
