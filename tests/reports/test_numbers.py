from __future__ import annotations

import pytest

from cars_bench.reports.facts import gather
from cars_bench.reports.numbers import tables
from cars_bench.reports.page import drawings


@pytest.fixture(scope="module")
def report(finished):
    return gather(finished)


def test_every_figure_has_its_numbers_beneath(report):
    in_templates = {"ladder", "contenders", "ranks"}
    assert set(drawings(report)) - in_templates == set(tables(report))


def test_rows_are_as_wide_as_their_headings(report):
    for table in tables(report).values():
        assert {len(row) for row in table.rows} == {len(table.headings)}


def test_the_kept_epoch_is_marked(report):
    names = [row[0] for row in tables(report)["run0"].rows]
    assert [name for name in names if "★" in name] == ["9 ★"]


def test_a_curve_is_written_out_epoch_by_epoch(report):
    row = tables(report)["curves"].rows[0]
    assert len(row[3].split()) == int(row[1])


def test_slices_hold_every_hyperparameter_that_varied_best_trial_first(report):
    table = tables(report)["slices"]
    assert set(table.headings[2:]) == {"depth", "learning_rate", "optimizer", "dropout"}
    assert len(table.rows) == 29
    scores = [float(row[1].rstrip("%")) for row in table.rows]
    assert scores == sorted(scores, reverse=True)
