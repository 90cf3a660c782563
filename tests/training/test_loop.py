"""The training loop: when it stops, what it keeps, how it fails."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import keras
import numpy as np
import pytest
from keras import layers

from cars_bench.errors import TrialFailed
from cars_bench.training.checkpoint import TrainingState
from cars_bench.training.engine import Engine, Examples, logits_of
from cars_bench.training.heads import build_head
from cars_bench.training.loop import (
    EarlyExamples,
    TrainingControl,
    cross_entropy,
    mixed_precision,
    train,
)
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


def on_maps(data: Examples, places: int) -> Examples:
    """The same features at every place of a map."""
    return replace(data, x=np.repeat(data.x[:, :, None, None], places, axis=2))


def gone_on(
    spec: TrainingSpec, start: TrainingState | None = None
) -> tuple[list[TrainingState], np.ndarray]:
    """The state after each epoch, of which the first two are on maps of one place, and logits."""
    head = build_head(HeadSpec(), (WIDTH,), CLASSES)
    model, early = (
        keras.Model(x, head(layers.GlobalAveragePooling2D()(x)))
        for x in (keras.Input((places, 1, WIDTH)) for places in (2, 1))
    )
    kept: list[TrainingState] = []
    control = TrainingControl(lambda row, state: kept.append(state()), start)
    first = EarlyExamples(early, on_maps(train_set(), 1), 2)
    validation = on_maps(val_set(), 2)
    train(model, spec, on_maps(train_set(), 2), validation, 0, control, first)
    return kept, logits_of(model, validation.x)


@pytest.mark.parametrize("averaging", [0.0, 0.8])
def test_the_first_epochs_train_the_same_weights_on_smaller_examples(averaging):
    spec = replace(QUICK, epochs=4, patience_epochs=0, averaging=averaging)
    kept, logits = gone_on(spec)
    alike = build_head(HeadSpec(), (WIDTH,), CLASSES)  # equal places pool to the features
    train(alike, spec, train_set(), val_set(), 0)
    np.testing.assert_allclose(logits, logits_of(alike, val_set().x), atol=1e-4)
    for state in kept[:-1]:
        np.testing.assert_allclose(gone_on(spec, state)[1], logits, atol=1e-5)


def test_the_first_epochs_run_on_their_own_examples():
    shapes: list[int] = []
    honest = Engine.run

    def told(self, batches, rates):
        shapes.append(self.examples.x.shape[2])
        return honest(self, batches, rates)

    with mock.patch.object(Engine, "run", told):
        gone_on(replace(QUICK, epochs=3, patience_epochs=0))
    assert shapes == [1, 1, 2]
