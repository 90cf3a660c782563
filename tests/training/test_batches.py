"""What an epoch shows: everything once, weights of one, nothing left to chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from cars_bench.training.batches import class_draws, draw_epoch
from cars_bench.training.specs import TrainingSpec

LABELS = np.repeat(np.arange(4), [40, 10, 5, 1]).astype(np.int64)


def plan(seed=0, epoch=0, views=3, labels=LABELS, **options):
    return draw_epoch(TrainingSpec(**options), labels, views, seed, epoch)


@given(count=st.integers(1, 200), batch=st.integers(1, 64), epoch=st.integers(0, 5))
def test_every_image_is_shown_once_an_epoch(count, batch, epoch):
    made = plan(labels=np.zeros(count, np.int64), batch_size=batch, epoch=epoch)
    assert sorted(made.image[made.weight > 0]) == list(range(count))
    assert made.weight.sum(1) == pytest.approx(np.ones(made.steps), abs=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_and_epoch_give_the_same_batches(seed):
    first, again = plan(seed, mixup=0.2), plan(seed, mixup=0.2)
    for name in ("image", "view", "partner", "partner_view", "mix", "weight"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_or_epoch_gives_another_order(other):
    assert (plan().image != plan(**other).image).any()


def test_balanced_sampling_shows_every_class_equally_often():
    shown = np.concatenate(
        [LABELS[(p := plan(epoch=e, sampling="balanced")).image[p.weight > 0]] for e in range(100)]
    )
    assert np.bincount(shown) / len(shown) == pytest.approx(np.full(4, 0.25), abs=0.02)


@pytest.mark.parametrize(
    ("sampling", "shares"), [("balanced", [0.25] * 4), ("uniform", np.bincount(LABELS) / 56)]
)
def test_ten_thousand_draws_hold_each_class_as_often_as_its_sampling_says(sampling, shares):
    drawn = class_draws(TrainingSpec(sampling=sampling), LABELS, 10_000, seed=3)
    assert drawn.sum() == 10_000
    assert chisquare(drawn, np.array(shares) * 10_000).pvalue > 0.01


def test_uniform_draws_are_no_balanced_ones():
    drawn = class_draws(TrainingSpec(), LABELS, 10_000)
    assert chisquare(drawn).pvalue < 1e-9


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_classes_are_drawn_as_the_training_draws_them(sampling):
    shown = plan(epoch=0, sampling=sampling)
    expected = np.bincount(LABELS[shown.image[shown.weight > 0]], minlength=4)
    found = class_draws(TrainingSpec(sampling=sampling), LABELS, len(LABELS))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("asked", "stored", "seen"), [(1, 3, 1), (2, 3, 2), (0, 3, 3), (9, 3, 3)])
def test_views_are_drawn_from_those_asked_for(asked, stored, seen):
    spec = TrainingSpec(views=asked, batch_size=8)
    drawn = draw_epoch(spec, LABELS, stored, 0, 0).view
    assert set(np.unique(drawn)) == set(range(seen))


def test_mixup_shares_are_one_a_batch_and_partners_come_from_it():
    made = plan(mixup=0.4, batch_size=8)
    assert (made.mix == made.mix[:, :1]).all()
    assert ((made.mix >= 0) & (made.mix <= 1)).all()
    assert len(np.unique(made.mix)) > 1
    for images, partners in zip(made.image, made.partner, strict=True):
        assert sorted(images) == sorted(partners)


def test_without_mixup_nothing_is_mixed():
    assert (plan().mix == 1).all()
