"""Several heads finished under one budget, and whether their ranks hold: `final-topN.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cars_bench.documents import read_record, write_record
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.plan import FINAL
from cars_bench.tuning.study import Study


@dataclass(frozen=True, kw_only=True)
class RankedHead:
    """One head that was finished to see whether its rank holds.

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
class Ranking:
    """What `final-topN.json` says: several heads finished under one budget.

    Attributes:
        heads: Best first, after fine-tuning.
        kendall_tau: Tau-b between the two validation scores, with a 95% interval.
        best: The best run on validation; only its test split was read.
    """

    heads: tuple[RankedHead, ...]
    kendall_tau: Estimate
    best: str


def write_ranking(study: Study, count: int, ranking: Ranking) -> None:
    """Write the ranking of the `count` best heads of a study and some drawn ones."""
    write_record(study.folder / f"{FINAL}-top{count}.json", ranking)


def read_ranking(study: Study) -> Ranking | None:
    """The ranking of the most heads, where `finetune --top` ran at all; the first among equals.

    Raises:
        RecordDamaged: One is not what was written.
    """
    found = [_ranking(path) for path in sorted(study.folder.glob(f"{FINAL}-top*.json"))]
    return max(found, key=lambda item: len(item.heads), default=None)


def _ranking(path: Path) -> Ranking:
    again = f"delete {path}, then cars-bench finetune --top N"
    return read_record(path, Ranking, ModelMissing(f"There is no {path}.", again), again)
