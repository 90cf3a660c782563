from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.evaluation.metrics import Estimate
from cars_bench.finetune.ranked_heads import RankedHead, Ranking, write_ranking
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.ranks import facts, figure, places, table
from cars_bench.tuning.study import Study
from tests.reports.workspaces import make_workspace


def _head(trial_id: str, frozen: float, finetuned: float, drawn: bool = False) -> RankedHead:
    return RankedHead(
        run=f"{trial_id}-conv3", trial_id=trial_id, drawn=drawn, frozen=frozen, finetuned=finetuned
    )


TOP = Ranking(
    heads=(_head("t1", 0.5, 0.9), _head("t0", 0.6, 0.8), _head("t9", 0.3, 0.7, drawn=True)),
    kendall_tau=Estimate(0.33, -0.4, 1.0),
    best="t1-conv3",
)


def test_places_before_and_after_stand_beside_each_other(finished):
    found = facts(replace(finished, ranking=TOP))
    assert found is not None
    assert [(h.trial_id, h.before, h.after) for h in found.heads] == [
        ("t0", 1, 2), ("t1", 2, 1), ("t9", 3, 3),
    ]  # fmt: skip
    assert [head.drawn for head in found.heads] == [False, False, True]
    assert "Kendall&#x27;s tau 0.33" in figure(found)["ranks"]
    rows = table(found)["ranks"].rows
    assert rows[0] == ("t0", "t0-conv3", "as one of the best", "1", "60.00%", "2", "80.00%")
    assert rows[2][2] == "at random"


@pytest.mark.parametrize(
    ("low", "high", "settled"), [(-0.4, 1.0, False), (0.2, 1.0, True), (-1.0, -0.1, True)]
)
def test_an_interval_around_nought_settles_nothing(finished, low, high, settled):
    ranking = replace(TOP, kendall_tau=Estimate(0.5 * (low + high), low, high))
    assert facts(replace(finished, ranking=ranking)).settled is settled


def test_nothing_is_said_where_it_was_not_measured(finished):
    assert facts(finished) is None


def test_the_ranking_of_the_most_heads_is_read(tmp_path):
    workspace = make_workspace(tmp_path, "tuned", trials=2)
    study = Study.open(workspace)
    more = replace(TOP, heads=(*TOP.heads, _head("t4", 0.1, 0.1)))
    write_ranking(study, 1, TOP)
    write_ranking(study, 5, more)
    assert read_inputs(workspace).ranking == more


@given(st.lists(st.floats(0, 1), min_size=1))
def test_places_are_those_of_a_race(scores):
    found = places(scores)
    assert min(found) == 1
    by_place = [score for _, score in sorted(zip(found, scores, strict=True))]
    assert by_place == sorted(scores, reverse=True)


def test_heads_that_share_a_place_share_a_label_so_that_none_is_written_over_another(finished):
    tied = replace(TOP, heads=(_head("t1", 0.5, 0.9), _head("t0", 0.5, 0.8), _head("t9", 0.3, 0.7)))
    drawn = figure(facts(replace(finished, ranking=tied)))["ranks"]
    words = [" ".join(word.split()) for word in re.findall(r"<text[^>]*>([^<]*)</text>", drawn)]
    assert "t1, t0 50.0%" in words
    assert sum("50.0%" in word for word in words) == 1
