from __future__ import annotations

import pytest

from cars_bench.reports.words import (
    flat,
    head_settings,
    number_text,
    training_settings,
    trial_settings,
)
from cars_bench.training.specs import DenseLayer, HeadSpec, Schedule, TrainingSpec


@pytest.mark.parametrize(
    ("value", "text"), [(1024, "1024"), (1024.0, "1024"), (1e-6, "1e-6"), (0.0, "0"), (0.5, "0.5")]
)
def test_numbers_are_labelled_in_full(value, text):
    assert number_text(value) == text


def test_nested_specs_become_flat_lines():
    document = {"learning_rate": 0.001, "schedule": {"kind": "cosine", "end": None}}
    assert list(flat(document)) == [
        ("Learning rate", "0.001"), ("Schedule", "cosine"), ("Schedule end", "none"),
    ]  # fmt: skip


def test_nought_is_off_where_it_switches_off_and_a_number_elsewhere():
    found = dict(flat({"mixup": 0.0, "views": 0, "momentum": 0.0, "learning_rate": 1e-6}))
    assert found == {"Mixup": "off", "Views": "all", "Momentum": "0", "Learning rate": "1e-6"}


def test_a_head_is_listed_layer_by_layer():
    head = HeadSpec(layers=(DenseLayer(256, dropout=0.2), DenseLayer(64)), l2=1e-4)
    found = dict(head_settings(head))
    assert (found["Layer 1"], found["Layer 2"]) == ("256 relu, dropout 0.2", "64 relu")
    assert found["L2 penalty"] == "0.0001"
    assert dict(head_settings(HeadSpec()))["Layers"] == "none: linear"


def test_only_what_a_training_reads_is_listed():
    adam = dict(training_settings(TrainingSpec()))
    assert "Momentum" not in adam
    assert adam["Schedule"] == "constant"
    assert [name for name in adam if name.startswith("Schedule")] == ["Schedule"]
    stepped = TrainingSpec(optimizer="sgd", schedule=Schedule(kind="step"))
    found = dict(training_settings(stepped))
    assert found["Momentum"] == "0.9"
    assert {"Schedule factor", "Schedule every epochs"} <= set(found)
    assert "Epsilon" not in found


def test_a_trial_is_listed_in_groups(finished):
    groups = dict(trial_settings(finished.winner.trial))
    assert list(groups) == ["Drawn by the search", "Head", "Training"]
    probe = next(row.trial for row in finished.board if row.kind == "probe")
    assert [name for name, _ in trial_settings(probe)] == ["Drawn by the search"]
