from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cars_bench.documents import from_json
from cars_bench.errors import RecordDamaged
from cars_bench.evaluation.agreement import Regret
from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.cache_fidelity_record import (
    FIDELITY_FILE,
    FidelityHead,
    FidelityRecord,
    ViewSource,
    read_fidelity,
    write_fidelity,
)
from cars_bench.finetune.recipe import Recipe
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

HEADS = (
    FidelityHead(trial_id="t1", rank=1, cached=0.6, tied=True, finetuned=(0.7, 0.74)),
    FidelityHead(trial_id="t0", rank=2, cached=0.58, tied=True, finetuned=(0.75, 0.77)),
    FidelityHead(trial_id="t9", rank=40, cached=0.3, tied=False, finetuned=(0.5, 0.5)),
)
FOUND = FidelityRecord(
    study="s",
    recipe=Recipe(),
    seeds=2,
    winner="t1",
    heads=HEADS,
    images=976,
    tau=Estimate(0.33, -0.2, 1.0),
    tied_tau=Estimate(-1.0, -1.0, 1.0),
    regret=Regret(Estimate(0.04, 0.0, 0.08), 0.01),
    views=(
        ViewSource(
            views=1,
            top1=Estimate(0.7, 0.6, 0.8),
            lost=Estimate(0.02, -0.01, 0.05),
            epoch_seconds=3.0,
            seconds=15.0,
            runs=("a", "b"),
        ),
    ),
    complete=True,
)


def test_what_is_written_is_read(tuned: Workspace) -> None:
    study = Study.open(tuned)
    assert read_fidelity(study) is None
    write_fidelity(study, FOUND)
    assert read_fidelity(study) == FOUND


def test_a_damaged_record_says_what_to_do(tuned: Workspace) -> None:
    study = Study.open(tuned)
    write_fidelity(study, FOUND)
    path = study.folder / FIDELITY_FILE
    path.write_text(path.read_text().replace("976", "977"))
    with pytest.raises(RecordDamaged) as caught:
        read_fidelity(study)
    assert "cars-bench fidelity" in caught.value.fix


def test_a_record_of_an_attempt_just_begun_needs_no_results() -> None:
    head = {"trial_id": "t1", "rank": 1, "cached": 0.5, "tied": True}
    document = {"study": "s", "recipe": {}, "seeds": 2, "winner": "t1", "heads": [head]}
    found = from_json(FidelityRecord, json.loads(json.dumps(document)))
    assert not found.complete
    assert found.advice == ""


def test_the_best_is_that_of_the_highest_mean() -> None:
    assert FOUND.best.trial_id == "t0"


@pytest.mark.parametrize(
    ("tau", "says"),
    [
        (Estimate(-1.0, -1.0, 1.0), "Any of these heads will do"),
        (Estimate(0.0, 0.0, 0.5), "Any of these heads will do"),
        (Estimate(0.8, 0.1, 1.0), "the order there holds"),
        (Estimate(-0.8, -1.0, -0.1), "the order there turns round"),
        (None, "only t1 is as good"),
    ],
)
def test_an_interval_around_nought_says_that_any_head_will_do(
    tau: Estimate | None, says: str
) -> None:
    found = replace(FOUND, tied_tau=tau)
    assert says in found.advice
    assert found.any_will_do is says.startswith("Any")


@pytest.mark.parametrize(
    ("views", "name"), [(0, "live"), (1, "1 cached view"), (4, "4 cached views")]
)
def test_sources_have_names(views: int, name: str) -> None:
    assert replace(FOUND.views[0], views=views).name == name


def test_only_what_is_asked_decides_whether_an_attempt_goes_on() -> None:
    assert FOUND.asks_as(replace(FOUND, winner="t0", complete=False))
    assert not FOUND.asks_as(replace(FOUND, seeds=3))
    assert not FOUND.asks_as(replace(FOUND, heads=HEADS[:2]))
