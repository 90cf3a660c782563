"""Mixing by share and by window: exact shares, on numpy and on JAX.

Covers cars_bench/training/batches.py, with `test_batches.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_bench.errors import UsageError
from cars_bench.training.batches import Window, covered, draw_epoch, shares
from cars_bench.training.engine import Engine, Examples, build_engine
from cars_bench.training.heads import build_head
from cars_bench.training.loop import compile_model, train
from cars_bench.training.specs import HeadSpec, TrainingSpec

LABELS = np.arange(24, dtype=np.int64) % 3
fraction = st.floats(0, 1, width=32)


@given(st.tuples(fraction, fraction), st.tuples(fraction, fraction), st.integers(1, 9))
def test_a_windows_mean_is_its_area_on_any_map(rows, columns, side):
    window = np.array([[*sorted(rows), *sorted(columns)]], np.float32)
    part = shares(np, np.ones(1, np.float32), window, 3, (side, side + 2))
    area = (window[0, 1] - window[0, 0]) * (window[0, 3] - window[0, 2])
    assert part.shape == (1, side, side + 2, 1)
    assert part.mean() == pytest.approx(1 - area, abs=1e-4)
    assert -1e-5 <= part.min() <= part.max() <= 1 + 1e-5


def test_a_window_lies_where_it_says():
    window = np.array([[0.5, 1.0, 0.0, 0.5]], np.float32)
    part = shares(np, np.ones(1, np.float32), window, 3, (4, 4))[0, :, :, 0]
    np.testing.assert_allclose(part, [[1] * 4, [1] * 4, [0, 0, 1, 1], [0, 0, 1, 1]])


def test_cells_are_covered_by_their_share():
    found = covered(np, np.float64(0.3), np.float64(0.8), 5)
    np.testing.assert_allclose(found, [0, 0.5, 1, 1, 0], atol=1e-12)
    rows = covered(np, np.array([0.0, 0.5]), np.array([1.0, 0.5]), 2)
    np.testing.assert_allclose(rows, [[1, 1], [0, 0]])


def test_a_windows_edges_have_names():
    assert Window.of(np.array([0.1, 0.2, 0.3, 0.4])) == Window(0.1, 0.2, 0.3, 0.4)
    assert Window.of(np.zeros((3, 2, 4))).left.shape == (3, 2)


def test_without_windows_the_share_holds_everywhere():
    mix = np.array([0.25, 1.0], np.float32)
    part = shares(np, mix, np.zeros((2, 0), np.float32), 1, (7,))
    np.testing.assert_array_equal(part, mix[:, None])


def planned(**options):
    return draw_epoch(TrainingSpec(batch_size=8, **options), LABELS, 2, 0, 0)


def test_cutmix_has_one_window_a_batch():
    made = planned(cutmix=1.0)
    assert made.window.shape == (*made.image.shape, 4)
    assert (made.window == made.window[:, :1]).all()
    assert ((made.window >= 0) & (made.window <= 1)).all()
    assert (made.mix == 1).all()


def test_with_both_each_batch_is_mixed_in_one_way():
    made = draw_epoch(TrainingSpec(batch_size=1, cutmix=1.0, mixup=1.0), LABELS, 2, 0, 0)
    cut, mixed = made.window[:, 0].any(1), made.mix[:, 0] < 1
    assert cut.any()
    assert mixed.any()
    assert not (cut & mixed).any()


@pytest.mark.parametrize("name", ["image", "view", "partner", "mix", "weight"])
def test_cutmix_leaves_what_mixup_draws(name):
    with_windows, without = planned(cutmix=1.0, mixup=0.0), planned()
    np.testing.assert_array_equal(getattr(with_windows, name), getattr(without, name))


def test_a_batch_is_mixed_in_pixels_and_in_targets_alike():
    # Each image is filled with its own label, so a pixel tells whose it is.
    maps = np.broadcast_to(LABELS[:, None, None, None, None], (24, 2, 6, 6, 1)).astype(np.float16)
    model = build_head(HeadSpec(), (1,), 3)
    compile_model(model, TrainingSpec())
    engine = Engine(model, Examples(maps, LABELS))
    plan = planned(cutmix=1.0)
    for step in range(plan.steps):
        x, targets = engine._batch(plan, step)
        np.testing.assert_allclose(x.mean((1, 2, 3)), targets @ np.arange(3), atol=1e-5)
        np.testing.assert_allclose(targets.sum(1), 1, atol=1e-5)


def test_pooled_features_have_no_windows():
    features = Examples(np.zeros((24, 1, 5), np.float16), LABELS)
    with pytest.raises(UsageError, match="cutmix needs images"):
        train(build_head(HeadSpec(), (5,), 3), TrainingSpec(cutmix=1.0), features, None, 0)


def test_every_engine_trains_with_windows():
    import keras

    maps = np.random.default_rng(0).normal(size=(24, 2, 6, 6, 1)).astype(np.float16)
    inputs = keras.Input((6, 6, 1))
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, logits)
    spec = TrainingSpec(batch_size=8, cutmix=1.0, epochs=1)
    compile_model(model, spec)
    engine = build_engine(model, Examples(maps, LABELS))
    plan = draw_epoch(spec, LABELS, 2, 0, 0)
    assert np.isfinite(engine.run(plan, np.full(plan.steps, 0.01, np.float32)))
