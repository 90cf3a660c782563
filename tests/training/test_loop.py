"""The training loop: when it stops, what it keeps, how it fails."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from cars_bench.errors import TrialFailed
from cars_bench.training.engine import Examples
from cars_bench.training.heads import build_head
from cars_bench.training.loop import cross_entropy, mixed_precision, train
from cars_bench.training.specs import HeadSpec, TrainingSpec
from tests.training.trainings import CLASSES, WIDTH, train_set, trained, val_set

QUICK = TrainingSpec(batch_size=32, epochs=5, learning_rate=0.01)


def test_it_stops_after_the_patience_without_a_better_score():
    still = replace(QUICK, learning_rate=1e-12, epochs=50, patience_epochs=2)
    position, _ = trained(HeadSpec(), still)
    assert len(position.history) - position.best_epoch == 2


def test_no_patience_runs_every_epoch():
    position, _ = trained(HeadSpec(), replace(QUICK, learning_rate=1e-12, patience_epochs=0))
    assert len(position.history) == 5


def test_it_ends_with_the_weights_of_its_best_epoch():
    wild = replace(QUICK, optimizer="sgd", learning_rate=30.0, epochs=8, patience_epochs=0)
    position, logits = trained(HeadSpec(), wild)
    best = position.history[position.best_epoch - 1]
    assert best.val_top1 == max(row.val_top1 for row in position.history)
    assert cross_entropy(logits, val_set().labels) == pytest.approx(best.val_loss, rel=1e-4)


def test_a_loss_that_is_not_finite_fails_the_trial():
    with pytest.raises(TrialFailed, match="epoch"):
        trained(HeadSpec(), replace(QUICK, optimizer="sgd", learning_rate=1e38))


def test_it_learns():
    position, _ = trained(HeadSpec(), replace(QUICK, epochs=15, learning_rate=0.05))
    assert position.best_top1 > 0.7


def test_without_validation_images_all_epochs_are_run_and_the_last_is_kept():
    model = build_head(HeadSpec(), (WIDTH,), CLASSES)
    position = train(model, QUICK, train_set(), None, seed=0)
    assert (len(position.history), position.best_epoch) == (5, 5)
    assert {row.val_top1 for row in position.history} == {None}


def test_the_same_seed_trains_the_same_head():
    first, again = (trained(HeadSpec(dropout=0.3), QUICK)[1] for _ in range(2))
    np.testing.assert_allclose(first, again, atol=1e-6)


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, name="convolution")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, build_head(HeadSpec(), (4,), 3)(x))


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
