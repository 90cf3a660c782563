from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.page import build_report
from cars_bench.reports.sections.labels import facts


@pytest.fixture
def planted(finished):
    """The drawn images, four of them under a wrong label, clearly told apart; and which."""
    features = finished.features
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(6, 40)) * 2
    x = centres[features.labels] + generator.normal(0, 0.6, (90, 40))
    rows = np.array([3, 20, 50, 80])
    labels = features.labels.copy()
    labels[rows] = (labels[rows] + 2) % 6
    changed = replace(finished)
    changed.__dict__["features"] = replace(features, x=x.astype(np.float32), labels=labels)
    return changed, {features.image_ids[row]: int(features.labels[row]) for row in rows}


def test_planted_wrong_labels_stand_on_top_with_the_class_they_show(planted):
    inputs, wrong = planted
    found = facts(inputs)
    first = found.suspects[: len(wrong)]
    assert {item.image_id: item.suggested for item in first} == {
        name: inputs.class_names[label] for name, label in wrong.items()
    }
    assert all(item.probability > 0.5 > item.given_probability for item in first)
    assert found.confident >= 1
    assert found.images == 90
    assert found.agreeing > 0.9


def test_without_features_no_label_is_judged(drawn):
    assert facts(read_inputs(drawn("prepared"))) is None


def test_all_of_them_are_on_disk_and_the_first_on_the_page(drawn, finished, section):
    found = facts(finished)
    folder = build_report(drawn("finetuned")).parent
    table = pd.read_csv(folder / "suspect-labels.csv")
    assert list(table["image_id"]) == [item.image_id for item in found.suspects]
    assert table["probability"].between(0, 1).all()
    said = section("data")
    assert "Which labels are suspect?" in said
    assert found.suspects[0].image_id in said.replace("/ ", "/")


def test_what_is_not_suspect_is_said_without_a_gallery(drawn, finished, page):
    assert 'id="suspects"' in page
    clean = facts(finished)
    assert replace(clean, suspects=(), confident=0).suspects == ()
