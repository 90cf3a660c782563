"""`finetune --top N`: does a head's rank on the cache predict its rank after fine-tuning?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cars_bench.errors import Interrupted, UsageError
from cars_bench.evaluation.agreement import Rights, rank_agreement
from cars_bench.finetune.plan import planned
from cars_bench.finetune.ranked_heads import RankedHead, Ranking, write_ranking
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.run import measure_test, perform
from cars_bench.finetune.runs import FINETUNED, FROZEN, Run, Stage
from cars_bench.progress import Progress
from cars_bench.tuning.leaderboard import head_rows
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

RANDOM_HEADS = 2
FEWEST = 3


@dataclass(frozen=True)
class TopResult:
    """Several heads finished under one budget.

    Attributes:
        ranking: The heads and how well the two rankings agree.
        best: The best run on validation; only its test split was read.
    """

    ranking: Ranking
    best: Run


def finetune_top(
    workspace: Workspace, options: FinetuneOptions, count: int, progress: Progress
) -> TopResult:
    """Finish the `count` best heads and two drawn from the others, all in the same way.

    The same command again goes on: finished runs are kept, an unfinished one is resumed.

    Raises:
        UsageError: The study has too few heads to rank.
        As `finetune`.
    """
    study = Study.open(workspace, options.study)
    chosen = _chosen(study, count, options.seed)
    done: list[Run] = []
    for number, trial_id in enumerate(chosen, 1):
        progress.log(f"Head {number} of {len(chosen)}: {trial_id}")
        plan = planned(workspace, options.of_trial(trial_id), ("val",))
        try:
            done.append(perform(workspace, plan, progress))
        except Interrupted as stopped:
            again = " ".join(["cars-bench finetune --top", str(count), *options.words()])
            raise Interrupted(stopped.message, again) from None
    frozen = _rights(done, FROZEN)
    finetuned = _rights(done, FINETUNED)
    heads = [
        RankedHead(
            run=run.name,
            trial_id=run.record.trial_id,
            drawn=index >= count,
            frozen=float(frozen[index].mean()),
            finetuned=float(finetuned[index].mean()),
        )
        for index, run in enumerate(done)
    ]
    order = sorted(range(len(done)), key=lambda index: -heads[index].finetuned)
    best = measure_test(workspace, done[order[0]], progress)
    workspace.remember("model", study=best.record.study, run=best.name)
    tau = rank_agreement(frozen, finetuned[:, None], options.seed)
    ranking = Ranking(tuple(heads[index] for index in order), tau, best.name)
    write_ranking(study, count, ranking)
    return TopResult(ranking, best)


def _chosen(study: Study, count: int, seed: int) -> list[str]:
    ranked = [row.trial_id for row in head_rows(study)]
    best = ranked[:count]
    others = ranked[count:]
    drawn = np.random.default_rng(seed).permutation(len(others))[:RANDOM_HEADS]
    chosen = best + [others[index] for index in sorted(drawn)]
    if len(chosen) < FEWEST:
        raise UsageError(
            f"Study {study.name!r} has {len(ranked)} heads and {len(chosen)} to rank; "
            f"that takes at least {FEWEST}.",
            "cars-bench tune --trials 20, or a larger --top",
        )
    return chosen


def _rights(done: list[Run], stage: Stage) -> Rights:
    """Which validation images each run gets right: bool `[H, N]`."""
    return np.stack([run.table(stage, "val").correct for run in done])
