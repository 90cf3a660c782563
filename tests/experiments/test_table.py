"""The table of an experiment: published scores and ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.evaluation.boxes import BoxScore
from cars_bench.evaluation.metrics import SplitScore, wilson
from cars_bench.experiments.config import Expected, Published
from cars_bench.experiments.record import AttemptRecord, ExperimentRecord
from cars_bench.experiments.table import rows_of


def scored(right: int) -> SplitScore:
    return SplitScore(wilson(right, 100), wilson(90, 100), 100)


def attempt(name: str, **more) -> AttemptRecord:
    fields = {"backbone": "efficientnet-lite0", "image_size": 96, "crop": "none"} | more
    return AttemptRecord(name=name, summary=f"of {name}", digest="d", **fields)


RECORD = ExperimentRecord(
    name="e",
    summary="s",
    backbone="efficientnet-lite0",
    published=(Published(what="all", split="test", top1=0.7),),
    attempts=(
        attempt("a", val=scored(40), test=scored(30), seconds={"tune": 2.0},
                published=(Published(what="a's", split="test", top1=0.5, top5=0.9),)),
        attempt("b", val=scored(60), backbone="tiny"),
        attempt("c", lacking="no weights"),
    ),
    chosen="a",
)  # fmt: skip


def test_a_published_score_stands_beside_ours_of_the_same_split():
    rows = {(row.attempt, row.what, row.split): row for row in rows_of(RECORD)}
    row = rows["a", "a's", "test"]
    assert (row.published, row.published_top5, row.value, row.top5) == (0.5, 0.9, 0.3, 0.9)
    assert row.low < row.value < row.high
    assert rows["a", "of a", "val"].published is None
    assert rows["b", "of b", "val"].value == 0.6


def test_the_experiments_own_score_stands_beside_the_chosen_attempt_and_all_of_its_time():
    first = rows_of(RECORD)[0]
    assert (first.what, first.attempt, first.value, first.seconds) == ("all", "a", 0.3, 2.0)
    assert first.chosen


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({}, [("a", "test"), ("a", "test")]),
        ({"split": "val"}, [("a", "val")]),
        ({"split": "val", "attempt": "b"}, [("b", "val")]),
        ({"backbone": "resnet50"}, []),
    ],
)
def test_what_is_expected_stands_beside_the_attempt_and_split_it_was_measured_on(said, where):
    fields = {"score": 0.5, "split": "test", "low": 0.4, "high": 0.6, "minutes": 2.0}
    expected = Expected(**({**fields, "backbone": "efficientnet-lite0"} | said))
    rows = rows_of(replace(RECORD, expected=expected))
    assert [(row.attempt, row.split) for row in rows if row.expected == expected] == where


def test_the_boxes_stand_in_the_row_of_their_split():
    found = BoxScore(mean_iou=wilson(5, 10), above_50=wilson(6, 10), above_75=wilson(2, 10), n=10)
    both = attempt("d", val=scored(1), test=scored(1), test_boxes=found)
    rows = rows_of(replace(RECORD, attempts=(both,)))
    assert {row.split: row.boxes for row in rows} == {"val": None, "test": found}


def test_a_row_says_the_backbone_and_why_there_is_no_score():
    rows = {row.attempt: row for row in rows_of(RECORD)}
    assert rows["a"].offline
    assert not rows["b"].offline
    assert rows["c"].lacking == "no weights"
    assert rows["c"].value is None


def test_nothing_is_laid_beside_the_published_score_before_one_is_chosen():
    unchosen = ExperimentRecord(name="e", summary="s", backbone="tiny", published=RECORD.published)
    assert rows_of(unchosen) == ()


def test_attempts_stand_in_the_order_of_the_config_however_they_were_begun():
    record = ExperimentRecord(name="e", summary="s", backbone="tiny", planned=("a", "b", "c"))
    for name in ("a", "c", "b"):
        record = record.having(attempt(name))
    again = record.having(attempt("c", lacking="no weights"))
    assert [item.name for item in again.attempts] == ["a", "b", "c"]
    assert again.attempts[2].lacking == "no weights"
