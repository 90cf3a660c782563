from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.evaluation.assessment import assess
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.class_counts import facts, figure, table, ticks


def _uneven(inputs):
    """Half of the training images of the later classes are gone."""
    rows = inputs.dataset.table
    gone = (rows["split"] == "train") & (rows["label"] > 2) & (rows.groupby("label").cumcount() > 2)
    return replace(inputs, dataset=replace(inputs.dataset, table=rows[~gone]))


def test_every_class_has_its_count_its_recall_and_what_a_doubling_brings(finished):
    found = facts(finished)
    recalls = assess(finished.answers("finetuned", "test"), finished.class_names).classes
    assert found.stage == "finetuned"
    assert {item.name: item.recall for item in found.classes} == {
        row.name: row.recall for row in recalls
    }
    assert {item.train for item in found.classes} == {7}
    assert all(item.gain.low <= item.gain.value <= item.gain.high for item in found.classes)
    assert found.doubling.n == 48
    assert found.doubling.gain.value == pytest.approx(found.doubling.whole - found.doubling.half)


def test_the_most_gaining_class_stands_first_and_the_worst_among_equals(finished):
    found = facts(finished).classes
    order = [(-item.gain.value, item.recall.value) for item in found]
    assert order == sorted(order)


def test_equal_counts_are_not_drawn_and_unequal_ones_are(finished):
    even = facts(finished)
    assert not even.uneven
    assert (figure(even), table(even)) == ({}, {})
    uneven = facts(_uneven(finished))
    assert uneven.uneven
    assert set(figure(uneven)) == set(table(uneven)) == {"counts"}
    assert len(table(uneven)["counts"].rows) == 6
    assert len(ticks(uneven.measured)) == 3


def test_before_a_model_has_answered_the_doubling_is_told_alone(drawn):
    found = facts(read_inputs(drawn("extracted")))
    assert found.stage == ""
    assert {item.recall for item in found.classes} == {None}
    assert found.doubling is not None
    assert facts(read_inputs(drawn("prepared"))) is None


def test_the_page_says_what_the_last_doubling_was_worth_and_where_nothing_can_be_told(section):
    said = section("errors")
    assert "Which class needs more pictures?" in said
    assert "The last doubling was worth" in said
