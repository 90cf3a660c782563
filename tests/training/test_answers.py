"""A head that tells a box too: what it puts out, and how it learns it on every engine."""

from __future__ import annotations

from unittest import mock

import keras
import numpy as np
import pytest

from cars_bench.errors import UsageError
from cars_bench.training import engine
from cars_bench.training.answers import Answers, class_count, has_box, named_outputs, split_outputs
from cars_bench.training.engine import Engine, Examples, answers_of, joined
from cars_bench.training.heads import build_head, parameter_count, split_head
from cars_bench.training.loop import train
from cars_bench.training.products import with_products
from cars_bench.training.specs import DenseLayer, HeadSpec, TrainingSpec

WIDTH, CLASSES, VIEWS = 6, 3, 2
BOXED = HeadSpec(layers=(DenseLayer(16),), box=True)
QUICK = TrainingSpec(learning_rate=0.02, epochs=25, batch_size=16, patience_epochs=0)


def examples(count: int = 48, views: int = VIEWS) -> Examples:
    """Features that hold the class and the box; the last box is not known."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    start = rng.uniform(0, 0.5, (count, views, 2))
    boxes = np.concatenate([start, start + 0.3], axis=-1).astype(np.float32)
    x = np.zeros((count, views, WIDTH), np.float32)
    x[np.arange(count), :, labels] = 2.0
    x[..., 3:5] = start * 4 - 1
    boxes[-1] = np.nan
    return Examples(x, labels, boxes)


def test_an_untrained_head_puts_the_box_in_the_middle_whatever_it_sees():
    model = build_head(BOXED, (WIDTH,), CLASSES)
    said = answers_of(model, np.random.default_rng(0).normal(size=(5, 1, WIDTH)))
    assert said.logits.shape == (5, CLASSES)
    np.testing.assert_allclose(said.boxes, [[0.25, 0.25, 0.75, 0.75]] * 5)


def test_a_box_lies_in_the_view_and_is_upright_for_any_weights():
    model = build_head(BOXED, (WIDTH,), CLASSES)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 3, item.shape) for item in model.get_weights()])
    boxes = answers_of(model, rng.normal(0, 3, (200, 1, WIDTH))).boxes
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, :2] <= boxes[:, 2:]).all()


def test_the_parameters_are_counted_without_building_the_head():
    model = build_head(BOXED, (WIDTH,), CLASSES)
    assert parameter_count(BOXED, (WIDTH,), CLASSES) == model.count_params()


def test_the_parts_of_a_split_head_are_what_the_one_tensor_holds():
    model = build_head(BOXED, (WIDTH,), CLASSES)
    x = np.ones((2, WIDTH), np.float32)
    logits, boxes = (keras.ops.convert_to_numpy(part) for part in split_head(model)(x))
    whole = Answers.of(keras.ops.convert_to_numpy(model(x)), CLASSES)
    np.testing.assert_array_equal(logits, whole.logits)
    np.testing.assert_array_equal(boxes, whole.boxes)


@pytest.mark.parametrize("box", [False, True])
def test_a_model_says_itself_whether_it_has_a_box(box):
    head = build_head(HeadSpec(box=box), (WIDTH,), CLASSES)
    inputs = keras.Input((WIDTH,))
    above = keras.Model(inputs, head(inputs))
    for model in (head, above, with_products(above)):
        assert (has_box(model), class_count(model)) == (box, CLASSES)
    assert Answers.of(np.zeros((2, CLASSES + 4 * box)), CLASSES).boxes is None or box


def test_outputs_are_cut_where_the_classes_end():
    logits, boxes = split_outputs(np.arange(7)[None], 3)
    assert (logits.tolist(), boxes.tolist()) == ([[0, 1, 2]], [[3, 4, 5, 6]])
    assert list(named_outputs(logits)) == ["probabilities"]
    assert list(named_outputs({"probabilities": 1, "box": 2})) == ["probabilities", "box"]


@pytest.mark.parametrize("loss", ["smooth_l1", "giou"])
def test_class_and_box_are_learnt_together(loss):
    data = examples()
    model = build_head(BOXED, (WIDTH,), CLASSES)
    spec = TrainingSpec(**{**vars(QUICK), "box_loss": loss})
    state = train(model, spec, data, data, seed=0)
    assert state.best_top1 == 1
    rows = [row.val_iou for row in state.history]
    assert rows[-1] > 0.75 > rows[0]


def test_resident_and_chunked_activations_train_alike():
    found = []
    for bytes_ in (engine.RESIDENT_BYTES, 0):
        with mock.patch.multiple(engine, RESIDENT_BYTES=bytes_, CHUNK_BYTES=700):
            model = build_head(BOXED, (WIDTH,), CLASSES)
            train(model, QUICK, examples(), None, seed=0)
            found.append(answers_of(model, examples().x).boxes)
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_the_engine_pairs_each_view_with_its_own_box():
    data = examples(8)
    model = build_head(BOXED, (WIDTH,), CLASSES)
    model.compile(optimizer="sgd", loss="mse")
    from cars_bench.training.batches import draw_epoch

    batches = draw_epoch(TrainingSpec(batch_size=8), data.labels, VIEWS, 0, 0)
    _, targets = Engine(model, data)._batch(batches, 0)
    np.testing.assert_array_equal(
        targets[:, CLASSES:], data.boxes[batches.image[0], batches.view[0]]
    )


def test_a_refit_joins_the_boxes_too_and_repeats_the_fewer_views():
    both = joined(examples(4), examples(3, views=1))
    assert both.boxes.shape == (7, VIEWS, 4)
    np.testing.assert_array_equal(
        both.boxes[np.array([5]), np.array([1])], examples(3, views=1).boxes[1:2, 0]
    )
    assert joined(examples(4), Examples(np.zeros((1, 1, WIDTH)), np.zeros(1, int))).boxes is None


@pytest.mark.parametrize("mixed", ["mixup", "cutmix"])
def test_mixed_images_are_refused(mixed):
    spec = TrainingSpec(**{mixed: 0.2})
    with pytest.raises(UsageError, match="two objects"):
        train(build_head(BOXED, (WIDTH,), CLASSES), spec, examples(), None, seed=0)


def test_examples_without_boxes_are_refused():
    bare = Examples(examples().x, examples().labels)
    with pytest.raises(UsageError, match="boxes are known"):
        train(build_head(BOXED, (WIDTH,), CLASSES), QUICK, bare, None, seed=0)
