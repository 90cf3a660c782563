from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from scipy.stats import chisquare

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.sampling import facts, figure, table
from cars_bench.training.batches import class_draws
from cars_bench.training.specs import TrainingSpec
from tests.reports.pages import page_of

GONE = 4
"""Training images of the first class that are left out."""


def with_balanced(inputs, every: int = 1):
    """Every so many-th trial drew the classes evenly; the first class has fewer images."""
    rows = inputs.dataset.table
    first = (rows["split"] == "train") & (rows["label"] == 0)
    kept = rows[~(first & (rows.groupby(["split", "label"]).cumcount() < GONE))]
    board = tuple(
        replace(row, trial=_balanced(row.trial)) if number % every == 0 else row
        for number, row in enumerate(inputs.board)
    )
    return replace(inputs, dataset=replace(inputs.dataset, table=kept), board=board)


def _balanced(trial):
    training = trial.training and replace(trial.training, sampling="balanced")
    return replace(trial, training=training)


@pytest.fixture(scope="module")
def uneven(finished):
    return with_balanced(finished)


def test_nothing_is_said_where_every_training_drew_uniformly(finished, drawn):
    assert facts(finished) is None
    assert facts(read_inputs(drawn("prepared"))) is None


def test_balanced_draws_are_even_and_uniform_ones_follow_the_sizes(uneven):
    found = facts(uneven)
    sizes = np.array([item.train for item in found.classes])
    assert list(sizes) == [7] * 5 + [7 - GONE]
    assert sum(item.balanced for item in found.classes) == found.draws == 10_000
    assert chisquare([item.balanced for item in found.classes]).pvalue > 0.01
    uniform = [item.uniform for item in found.classes]
    assert uniform == pytest.approx(sizes / sizes.sum() * 10_000, rel=0.01)


def test_the_draws_are_those_of_the_code_that_trains(uneven):
    labels = np.array([record.label for record in uneven.dataset.records("train")])
    drawn = class_draws(TrainingSpec(sampling="balanced"), labels, 10_000)
    names = uneven.dataset.class_names
    assert {item.name: item.balanced for item in facts(uneven).classes} == dict(
        zip(names, drawn, strict=True)
    )


def test_spreads_are_those_of_the_classes(uneven):
    found = facts(uneven)
    values = sorted(item.uniform for item in found.classes)
    assert (found.uniform.low, found.uniform.high) == (values[0], values[-1])
    assert found.uniform.median == pytest.approx(np.median(values))


def test_who_drew_so_is_told(finished):
    found = facts(with_balanced(finished, every=3))
    trained = [trial for trial in finished.trials if trial.training]
    assert re.fullmatch(rf"\d+ trials of {len(trained)}", found.who[0])
    run = finished.runs[0]
    record = replace(run.record, training=replace(run.record.training, sampling="balanced"))
    alone = replace(finished, runs=(replace(run, record=record),))
    assert facts(alone).who == (f"the run {run.name}",)


def test_figure_and_table_show_every_class(uneven):
    found = facts(uneven)
    assert set(figure(found)) == set(table(found)) == {"draws"}
    assert [row[0] for row in table(found)["draws"].rows] == [item.name for item in found.classes]


def test_the_page_shows_both_samplings(uneven):
    page = page_of(uneven)
    part = page.split("How often each class is drawn")[1].split("<h3", maxsplit=1)[0]
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", part)).split())
    assert "Every class had the same chance of being drawn" in words
    assert "balanced: every class alike" in words
