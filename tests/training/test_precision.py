"""Mixed precision: bfloat16 below the head while training, float32 before and after."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from cars_bench.errors import TrialFailed
from cars_bench.training.engine import Examples
from cars_bench.training.heads import build_head
from cars_bench.training.loop import train
from cars_bench.training.precision import mixed_precision
from cars_bench.training.specs import HeadSpec, TrainingSpec


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, name="convolution")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, build_head(HeadSpec(), 4, 3)(x))


def dtypes(model: keras.Model) -> list[str]:
    return [layer.compute_dtype for layer in model.layers]


def test_only_what_is_below_the_head_computes_in_bfloat16(model):
    with mixed_precision(model, True):
        assert model.get_layer("convolution").compute_dtype == "bfloat16"
        assert model.get_layer("head").compute_dtype == "float32"
    assert set(dtypes(model)) == {"float32"}


def test_not_asked_for_nothing_changes(model):
    with mixed_precision(model, False):
        assert set(dtypes(model)) == {"float32"}


def test_a_failure_leaves_float32_behind(model):
    bad = Examples(np.full((8, 1, 6, 6, 2), np.nan, np.float32), np.zeros(8, np.int64))
    with pytest.raises(TrialFailed):
        train(model, TrainingSpec(mixed_precision=True, epochs=1), bad, None, 0)
    assert set(dtypes(model)) == {"float32"}


def test_it_trains_nearly_as_float32_does_and_keeps_float32_weights(model):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    x = rng.normal(0, 0.3, (60, 1, 6, 6, 2)) + labels[:, None, None, None, None]
    examples = Examples(x.astype(np.float32), labels)
    spec = TrainingSpec(batch_size=12, epochs=12, learning_rate=0.03, mixed_precision=True)
    done = train(model, spec, examples, examples, 0)
    assert done.best_top1 > 0.9
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
