"""Specs: JSON and back, and refusals that name the field."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.documents import from_json, to_json
from cars_bench.errors import UsageError
from cars_bench.training import specs
from cars_bench.training.specs import (
    BELOW_THE_HEAD,
    READ_BY_SCHEDULES,
    SCHEDULES,
    DenseLayer,
    HeadSpec,
    Schedule,
    TrainingSpec,
    active_settings,
)

share = st.floats(0, 0.9)
small = st.floats(0, 10)
layers = st.builds(
    DenseLayer,
    units=st.integers(1, 4096),
    activation=st.sampled_from(specs.ACTIVATIONS),
    batch_norm=st.booleans(),
    dropout=share,
)
heads = st.builds(
    HeadSpec,
    layers=st.lists(layers, max_size=4).map(tuple),
    normalisation=st.sampled_from(specs.NORMALISATIONS),
    dropout=share,
    noise=small,
    l2=small,
)
schedules = st.builds(
    Schedule,
    kind=st.sampled_from(specs.SCHEDULES),
    factor=st.floats(1, 10),
    every_epochs=st.integers(1, 50),
    floor=small,
    warmup_epochs=small,
    cycle_epochs=st.floats(0.5, 20),
)
trainings = st.builds(
    TrainingSpec,
    optimizer=st.sampled_from(specs.OPTIMIZERS),
    learning_rate=st.floats(1e-8, 10),
    schedule=schedules,
    batch_size=st.integers(1, 1024),
    epochs=st.integers(1, 500),
    label_smoothing=share,
    sampling=st.sampled_from(specs.SAMPLINGS),
    views=st.integers(0, 16),
    mixup=small,
)


def round_trip(spec):
    return from_json(type(spec), json.loads(json.dumps(to_json(spec), allow_nan=False)))


@given(st.one_of(heads, trainings))
def test_a_spec_comes_back_from_json_as_it_was(spec):
    assert round_trip(spec) == spec


@pytest.mark.parametrize(
    ("kind", "document", "field"),
    [
        (DenseLayer, {"units": 0}, "units"),
        (DenseLayer, {"units": 2.5}, "units"),
        (DenseLayer, {"units": True}, "units"),
        (DenseLayer, {"units": 8, "activation": "swoosh"}, "activation"),
        (DenseLayer, {"units": 8, "dropout": 1.0}, "dropout"),
        (DenseLayer, {}, "units"),
        (HeadSpec, {"layers": 3}, "layers"),
        (HeadSpec, {"normalisation": "most"}, "normalisation"),
        (HeadSpec, {"noise": -0.1}, "noise"),
        (HeadSpec, {"l2": float("nan")}, "l2"),
        (TrainingSpec, {"optimizer": "lion"}, "optimizer"),
        (TrainingSpec, {"learning_rate": 0}, "learning_rate"),
        (TrainingSpec, {"epochs": "ten"}, "epochs"),
        (TrainingSpec, {"schedule": "cosine"}, "schedule"),
        (TrainingSpec, {"schedule": {"kind": "zigzag"}}, "schedule.kind"),
        (TrainingSpec, {"schedule": {"boundaries": [3], "values": [1.0]}}, "schedule.values"),
        (TrainingSpec, {"lerning_rate": 0.1}, "lerning_rate"),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(kind, document, field):
    with pytest.raises(UsageError) as caught:
        from_json(kind, document)
    assert field in caught.value.message
    assert caught.value.fix


def test_a_head_describes_itself_in_one_line():
    spec = HeadSpec(layers=(DenseLayer(480, dropout=0.2), DenseLayer(64, "gelu", True)))
    assert spec.describe() == "480 relu, dropout 0.2 -> 64 bn gelu"


def test_a_head_without_hidden_layers_is_linear():
    assert HeadSpec().describe() == "linear"


@pytest.mark.parametrize(
    ("changes", "read", "unread"),
    [
        ({}, {"epsilon"}, {"momentum", "weight_decay", "focal_gamma"}),
        ({"optimizer": "sgd"}, {"momentum"}, {"epsilon", "weight_decay"}),
        ({"optimizer": "adamw"}, {"weight_decay", "epsilon"}, {"momentum"}),
        ({"loss": "focal"}, {"focal_gamma"}, {"momentum"}),
    ],
)
def test_active_settings_are_those_that_something_reads(changes, read, unread):
    found = active_settings(TrainingSpec(**changes))
    assert read <= set(found)
    assert not unread & set(found)
    assert set(found) <= {field.name for field in fields(TrainingSpec)}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_shows_its_kind_and_what_that_kind_reads(kind):
    found = active_settings(TrainingSpec(schedule=Schedule(kind=kind)))["schedule"]
    assert found["kind"] == kind
    assert {name for name, kinds in READ_BY_SCHEDULES.items() if kind in kinds} == set(found) - {
        "kind"
    }


def test_a_head_alone_has_nothing_below_it():
    assert set(BELOW_THE_HEAD) <= set(active_settings(TrainingSpec()))
    assert not set(BELOW_THE_HEAD) & set(active_settings(TrainingSpec(), whole=False))
