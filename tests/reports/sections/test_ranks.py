from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.ranks import facts, figure, places
from cars_bench.workspace import write_json
from tests.reports.workspaces import make_workspace


def _head(trial_id: str, frozen: float, finetuned: float, drawn: bool = False) -> dict[str, object]:
    scores = {"frozen": frozen, "finetuned": finetuned}
    return {"run": f"{trial_id}-conv3", "trial_id": trial_id, "drawn": drawn, **scores}


TOP = {
    "schema_version": 1,
    "heads": [_head("t1", 0.5, 0.9), _head("t0", 0.6, 0.8), _head("t9", 0.3, 0.7, drawn=True)],
    "kendall_tau": {"value": 0.33, "low": -0.4, "high": 1.0},
    "best": "t1-conv3",
}


def test_places_before_and_after_stand_beside_each_other(finished):
    found = facts(replace(finished, ranking=TOP))
    assert found is not None
    assert [(h.trial_id, h.before, h.after) for h in found.heads] == [
        ("t0", 1, 2), ("t1", 2, 1), ("t9", 3, 3),
    ]  # fmt: skip
    assert [head.drawn for head in found.heads] == [False, False, True]
    assert "Kendall&#x27;s tau 0.33" in figure(found)["ranks"]


@pytest.mark.parametrize(
    ("low", "high", "settled"), [(-0.4, 1.0, False), (0.2, 1.0, True), (-1.0, -0.1, True)]
)
def test_an_interval_around_nought_settles_nothing(finished, low, high, settled):
    tau = {"value": 0.5 * (low + high), "low": low, "high": high}
    assert facts(replace(finished, ranking=TOP | {"kendall_tau": tau})).settled is settled


def test_nothing_is_said_where_it_was_not_measured(finished):
    assert facts(finished) is None


def test_the_ranking_of_the_most_heads_is_read(tmp_path):
    workspace = make_workspace(tmp_path, "tuned", trials=2)
    folder = workspace.studies / "drawn-tiny"
    write_json(folder / "final-top1.json", TOP)
    write_json(folder / "final-top5.json", TOP | {"heads": [*TOP["heads"], _head("t4", 0.1, 0.1)]})
    found = read_inputs(workspace).ranking
    assert found == json.loads((folder / "final-top5.json").read_text("utf-8"))


@given(st.lists(st.floats(0, 1), min_size=1))
def test_places_are_those_of_a_race(scores):
    found = places(scores)
    assert min(found) == 1
    by_place = [score for _, score in sorted(zip(found, scores, strict=True))]
    assert by_place == sorted(scores, reverse=True)
