from __future__ import annotations

import re
from pathlib import Path

import pytest

from cars_bench.errors import UsageError
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.ranked_heads import read_ranking
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.runs import runs
from cars_bench.finetune.top import finetune_top
from cars_bench.progress import Progress
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace


def test_heads_are_finished_alike_and_ranked(tuned: Workspace, recipe: Path) -> None:
    options = FinetuneOptions(recipe=str(recipe), epochs=1)
    found = finetune_top(tuned, options, 1, Progress())
    assert len({item.trial_id for item in found.ranking.heads}) == 3
    assert sum(item.drawn for item in found.ranking.heads) == 2
    tau = found.ranking.kendall_tau
    assert -1 <= tau.low <= tau.value <= tau.high <= 1
    read = [len(run.record.finetuned) for run in runs(Study.open(tuned))]
    assert sorted(read) == [1, 1, 2]  # the test split was read for the best one only

    assert FinishedModel.open(tuned).record.run == found.best.record.run

    models = {path: path.stat().st_mtime_ns for path in tuned.studies.glob("*/final/*/model.keras")}
    again = finetune_top(tuned, options, 1, Progress())
    assert again == found
    assert read_ranking(Study.open(tuned)) == found.ranking
    assert models == {path: path.stat().st_mtime_ns for path in models}


def test_too_few_heads_to_rank(tuned: Workspace, recipe: Path) -> None:
    study = next(tuned.studies.glob("*/ledger.jsonl"))
    lines = [line for line in study.read_text().splitlines() if '"t0000"' in line]
    unsealed = [re.sub(', "digest": "[0-9a-f]{16}"}$', "}", line) for line in lines]
    study.write_text("\n".join(unsealed) + "\n")
    with pytest.raises(UsageError, match="at least 3"):
        finetune_top(tuned, FinetuneOptions(recipe=str(recipe)), 5, Progress())
