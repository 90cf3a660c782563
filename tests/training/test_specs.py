"""Specs: JSON and back, and refusals that name the field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.documents import from_json, to_json
from cars_bench.errors import UsageError
from cars_bench.training import specs
from cars_bench.training.specs import DenseLayer, HeadSpec, Schedule, TrainingSpec

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
    assert spec.describe() == "480 relu, dropout 0.2 -> 64 bn gelu -> classes"


def test_a_head_without_hidden_layers_is_linear():
    assert HeadSpec().describe() == "linear"
