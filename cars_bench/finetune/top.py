"""`finetune --top N`: does a head's rank on the cache predict its rank after fine-tuning?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from cars_bench import SCHEMA_VERSION
from cars_bench.documents import to_json
from cars_bench.errors import Interrupted, UsageError
from cars_bench.evaluation.metrics import Estimate
from cars_bench.evaluation.predictions import read_predictions
from cars_bench.finetune.plan import FINAL, FinetuneOptions, planned
from cars_bench.finetune.run import FinetuneResult, measure_test, perform
from cars_bench.progress import Progress
from cars_bench.tuning.leaderboard import leaderboard
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace, write_json

COMPLETED = ("trial", "completed")
RANDOM_HEADS = 2
FEWEST = 3
RESAMPLES = 2000

Rights = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Finisher:
    """One head that was finished.

    Attributes:
        run: Its run.
        trial_id: The head.
        drawn: Drawn at random, not one of the best.
        frozen: Validation top-1 on the cache.
        finetuned: Validation top-1 after fine-tuning.
    """

    run: str
    trial_id: str
    drawn: bool
    frozen: float
    finetuned: float


@dataclass(frozen=True)
class TopResult:
    """Several heads finished under one budget.

    Attributes:
        finishers: Best first, after fine-tuning.
        tau: Kendall's tau-b between the two validation scores, with an interval.
        best: The best run on validation; only its test split was read.
    """

    finishers: tuple[Finisher, ...]
    tau: Estimate
    best: FinetuneResult

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "heads": [asdict(item) for item in self.finishers],
            "kendall_tau": to_json(self.tau),
            "best": self.best.document["run"],
        }


def finetune_top(
    workspace: Workspace, options: FinetuneOptions, count: int, progress: Progress
) -> TopResult:
    """Finish the `count` best heads and two drawn from the others, all in the same way.

    The same command again goes on: finished runs are kept, an unfinished one is resumed.

    Raises:
        UsageError: The study has too few heads to rank.
        As `finetune`.
    """
    chosen = _chosen(Study.open(workspace, options.study), count, options.seed)
    results: list[FinetuneResult] = []
    for number, trial_id in enumerate(chosen, 1):
        progress.log(f"Head {number} of {len(chosen)}: {trial_id}")
        plan = planned(workspace, options.of_trial(trial_id), ("val",))
        try:
            results.append(perform(workspace, plan, progress))
        except Interrupted as stopped:
            again = " ".join(["cars-bench finetune --top", str(count), *options.words()])
            raise Interrupted(stopped.message, again) from None
    frozen, finetuned = _rights(results, "-frozen"), _rights(results, "")
    finishers = [
        Finisher(
            result.document["run"],
            result.document["trial_id"],
            index >= count,
            float(frozen[index].mean()),
            float(finetuned[index].mean()),
        )
        for index, result in enumerate(results)
    ]
    order = sorted(range(len(results)), key=lambda index: -finishers[index].finetuned)
    best = measure_test(workspace, results[order[0]], progress)
    workspace.remember("model", study=best.document["study"], run=best.document["run"])
    tau = rank_agreement(frozen, finetuned, options.seed)
    found = TopResult(tuple(finishers[index] for index in order), tau, best)
    write_json(
        best.folder.parent.parent / f"{FINAL}-top{count}.json",
        {"schema_version": SCHEMA_VERSION} | found.to_json(),
    )
    return found


def rank_agreement(frozen: Rights, finetuned: Rights, seed: int = 0) -> Estimate:
    """Kendall's tau-b between accuracies before and after, with a 95% bootstrap interval.

    Heads and images are both drawn anew (with replacement), since another
    study would have other heads and another split other images.  Draws in
    which all heads score the same have no tau and are left out.

    Args:
        frozen: bool `[H, N]`, head by image, right on the cache.
        finetuned: bool `[H, N]`, right after fine-tuning.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    heads, images = frozen.shape
    drawn = []
    for _ in range(RESAMPLES):
        rows = generator.integers(heads, size=(heads, 1))
        columns = generator.integers(images, size=(1, images))
        drawn.append(_tau(frozen[rows, columns].mean(1), finetuned[rows, columns].mean(1)))
    known = [value for value in drawn if np.isfinite(value)] or [-1.0, 1.0]
    value = _tau(frozen.mean(1), finetuned.mean(1))
    value = value if np.isfinite(value) else 0.0
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate.holding(value, float(low), float(high))


def _tau(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> float:
    return float(kendalltau(before, after).statistic)


def _chosen(study: Study, count: int, seed: int) -> list[str]:
    rows = [row for row in leaderboard(study) if (row.kind, row.status) == COMPLETED]
    ranked = [row.trial_id for row in rows]
    best, others = ranked[:count], ranked[count:]
    drawn = np.random.default_rng(seed).permutation(len(others))[:RANDOM_HEADS]
    chosen = best + [others[index] for index in sorted(drawn)]
    if len(chosen) < FEWEST:
        raise UsageError(
            f"Study {study.name!r} has {len(ranked)} heads and {len(chosen)} to rank; "
            f"that takes at least {FEWEST}.",
            "cars-bench tune --trials 20, or a larger --top",
        )
    return chosen


def _rights(results: list[FinetuneResult], suffix: str) -> Rights:
    """Which validation images each run gets right: bool `[H, N]`."""
    tables = [read_predictions(item.folder / f"predictions-val{suffix}.csv") for item in results]
    return np.array([[row.correct() for row in table] for table in tables])
