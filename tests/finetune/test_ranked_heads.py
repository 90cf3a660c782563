from __future__ import annotations

import json

from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.ranked_heads import RankedHead, Ranking, read_ranking, write_ranking
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace


def test_the_ranking_of_the_most_heads_is_read(finished: Workspace) -> None:
    study = Study.open(finished)
    assert read_ranking(study) is None
    few, many = (
        Ranking(tuple(_head(index) for index in range(count)), Estimate(0.5, 0.0, 1.0), "r0")
        for count in (3, 5)
    )
    write_ranking(study, 10, few)
    write_ranking(study, 3, many)
    assert read_ranking(study) == many
    document = json.loads((study.folder / "final-top3.json").read_text())
    assert list(document) == ["schema_version", "heads", "kendall_tau", "best", "checksum"]
    assert list(document["heads"][0]) == ["run", "trial_id", "drawn", "frozen", "finetuned"]


def _head(index: int) -> RankedHead:
    return RankedHead(run=f"r{index}", trial_id=f"t{index}", drawn=False, frozen=0.5, finetuned=0.6)
