"""`fidelity`: does the cache tell the truth?  Heads of all ranks finished under one budget.

Each head is an ordinary run whose plan says what it is for, so a killed attempt goes on by the
same command.  Only validation images are read.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from cars_bench.errors import CarsBenchError, Interrupted, TrialFailed
from cars_bench.evaluation.agreement import (
    Floats,
    Rights,
    accuracy_over_seeds,
    gain_over_seeds,
    rank_agreement,
    regret,
)
from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.cache_fidelity_plan import (
    FidelityOptions,
    chosen,
    head_plans,
    view_plans,
)
from cars_bench.finetune.cache_fidelity_record import (
    FidelityHead,
    FidelityRecord,
    ViewSource,
    write_fidelity,
)
from cars_bench.finetune.plan import RunPlan
from cars_bench.finetune.run import perform
from cars_bench.finetune.runs import FINETUNED, Run
from cars_bench.progress import Progress
from cars_bench.tuning.leaderboard import answers_of
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace, locked

RunsOfHead = list[Run]


def measure_fidelity(
    workspace: Workspace, options: FidelityOptions, progress: Progress
) -> FidelityRecord:
    """Finish heads of all ranks, then the cache's winner on other views, and judge the cache.

    The same command again goes on: finished runs are kept, an unfinished one is resumed.

    Raises:
        Interrupted: Ctrl-C; the same command goes on.
        As `cache_fidelity_plan.chosen` and `run.perform`.
    """
    study = Study.open(workspace, options.study)
    with locked(study.folder / ".fidelity.lock", f"The fidelity of {study.name}"):
        record = write_fidelity(study, chosen(workspace, options))
        finisher = _Finisher(workspace, options, progress)
        finished = [finisher.head(record, head) for head in record.heads]
        record = write_fidelity(study, ranked(study, record, finished))
        sources = finisher.views(record, finished)
        return write_fidelity(study, replace(record, views=sources, complete=True))


class _Finisher:
    """Performs runs, and says the whole command where one is stopped."""

    def __init__(self, workspace: Workspace, options: FidelityOptions, progress: Progress) -> None:
        self.workspace = workspace
        self.options = options
        self.progress = progress

    def head(self, record: FidelityRecord, head: FidelityHead) -> RunsOfHead:
        """Finish one head, with every seed."""
        place = 1 + record.heads.index(head)
        self.progress.log(f"Head {place} of {len(record.heads)}: {head.trial_id}, {head.rank}.")
        return self._all(head_plans(self.workspace, record, head.trial_id))

    def views(self, record: FidelityRecord, finished: list[RunsOfHead]) -> tuple[ViewSource, ...]:
        """Finish the winner on 1, K and live views; nothing where all runs are live anyway."""
        if not record.recipe.live and finished[0][0].record.boundary_cache_key is None:
            self.progress.log("Nothing below is frozen, so no views are cached to compare")
            return ()
        done = {}
        for views, plans in view_plans(self.workspace, record).items():
            self.progress.log(f"{record.winner} on {f'{views} cached' if views else 'live'} views")
            done[views] = self._all(plans)
        live = rights(done[0])
        return tuple(_source(views, found, live) for views, found in done.items())

    def _all(self, plans: Iterable[RunPlan]) -> RunsOfHead:
        return [self._run(plan) for plan in plans]

    def _run(self, plan: RunPlan) -> Run:
        try:
            return perform(self.workspace, plan, self.progress)
        except Interrupted as stopped:
            raise Interrupted(stopped.message, self.options.command) from None
        except CarsBenchError as failure:
            if not isinstance(failure.__cause__, TrialFailed):
                raise
            fix = "a --recipe with a lower learning_rate"
            raise CarsBenchError(f"{plan.trial_id}: {failure.message}", fix) from failure


def ranked(study: Study, record: FidelityRecord, finished: list[RunsOfHead]) -> FidelityRecord:
    """The record with what the finished heads say of the cache.

    Args:
        study: Its ledger holds what each head says on the cache.
        record: The heads, best on the cache first.
        finished: The runs of each, one a seed.
    """
    before = cached_shares(study, record)
    after = np.stack([rights(found) for found in finished])
    heads = tuple(
        replace(
            head,
            finetuned=tuple(answers.mean(1).tolist()),
            runs=tuple(run.name for run in found),
        )
        for head, answers, found in zip(record.heads, after, finished, strict=True)
    )
    tied = [index for index, head in enumerate(heads) if head.tied]
    winner = [head.trial_id for head in heads].index(record.winner)
    return replace(
        record,
        heads=heads,
        images=after.shape[2],
        tau=rank_agreement(before, after),
        tied_tau=_agreement(before[tied], after[tied]),
        regret=regret(after, winner),
    )


def _agreement(before: Floats, after: Rights) -> Estimate | None:
    return rank_agreement(before, after) if len(before) > 1 else None


def cached_shares(study: Study, record: FidelityRecord) -> Floats:
    """How often each head names each validation image right on the cache, `[H, N]`.

    A mean over its trainings with new seeds where it was repeated, as on the leaderboard.
    """
    return np.stack([answers_of(study.trial(head.trial_id)).mean(0) for head in record.heads])


def rights(found: RunsOfHead) -> Rights:
    """Which validation images a head's runs get right: bool `[S, N]`."""
    return np.stack([run.table(FINETUNED, "val").correct for run in found])


def _source(views: int, found: RunsOfHead, live: Rights) -> ViewSource:
    answers = rights(found)
    epochs = [row.seconds for run in found for row in run.history()]
    return ViewSource(
        views=views,
        top1=accuracy_over_seeds(answers),
        lost=gain_over_seeds(answers, live),
        epoch_seconds=round(statistics.median(epochs), 3),
        seconds=round(statistics.fmean(run.record.training_seconds for run in found), 1),
        runs=tuple(run.name for run in found),
    )
