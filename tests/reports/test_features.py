from __future__ import annotations

import numpy as np
import pytest

from cars_bench.reports.features import (
    MOST_POINTS,
    TWINS,
    feature_facts,
    nearest,
    project,
    sampled,
)
from cars_bench.reports.importance import importance_facts, permutation_importance
from cars_bench.reports.inputs import read_sources
from cars_bench.reports.optimism import expected_optimism, optimism
from cars_bench.reports.search import search_facts


def test_the_planted_twin_stands_first(finished):
    facts = feature_facts(finished)
    assert facts is not None
    assert facts.twins[0].cosine == pytest.approx(1.0)
    assert facts.twins[0].train_id == finished.dataset.split("train")["image_id"][0]
    assert [twin.cosine for twin in facts.twins] == sorted(
        (twin.cosine for twin in facts.twins), reverse=True
    )


def test_every_test_image_is_on_the_map_with_its_answer(finished):
    points = feature_facts(finished).points
    assert [point.image_id for point in points] == list(finished.dataset.split("test")["image_id"])
    assert all(0 <= point.x <= 1 and 0 <= point.y <= 1 for point in points)
    assert all(point.predicted is not None for point in points)


def test_without_a_cache_there_are_no_features(drawn):
    assert feature_facts(read_sources(drawn("prepared"))) is None


def test_nearest_agrees_with_brute_force():
    generator = np.random.default_rng(0)
    queries, keys = generator.normal(size=(700, 5)), generator.normal(size=(40, 5))
    rows, values = nearest(queries, keys)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, keys)]
    cosine = unit[0] @ unit[1].T
    np.testing.assert_array_equal(rows, cosine.argmax(axis=1))
    np.testing.assert_allclose(values, cosine.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("count", [3, 80])
def test_the_same_features_give_the_same_map(count):
    x = np.random.default_rng(1).normal(size=(count, 40)).astype(np.float32)
    one, other = project(x), project(x)
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])


def test_large_splits_are_sampled_evenly_without_repeats():
    rows = sampled(10_000)
    assert len(rows) == len(set(rows)) == MOST_POINTS
    assert (rows[0], rows[-1]) == (0, 9_999)


def test_importance_finds_the_column_that_matters():
    x = np.random.default_rng(2).uniform(size=(60, 3))
    mean = permutation_importance(x, 2 * x[:, 1]).mean(axis=0)
    assert mean.argmax() == 1
    assert mean[1] > 0.8


def test_importance_is_not_estimated_from_few_trials(finished):
    facts = importance_facts(search_facts(finished))
    assert facts is not None
    assert facts.overall[0].name == "learning_rate"
    assert facts.top_half == ()


def test_optimism_grows_with_the_number_of_equal_heads_and_vanishes_without_noise():
    few, many = (expected_optimism(np.full(n, 0.5), np.full(n, 0.01)) for n in (2, 50))
    assert 0 < few < many
    assert expected_optimism(np.array([0.5, 0.6]), np.zeros(2)) == 0.0


def test_optimism_stands_beside_what_happened(finished):
    facts = optimism(finished)
    assert facts is not None
    assert facts.trials == 29
    assert facts.test == finished.run.accuracy("frozen", "test")["top1"]["value"]


def test_the_facts_say_how_many_test_images_the_map_and_the_pairs_are_of(finished):
    facts = feature_facts(finished)
    assert facts.images == len(finished.dataset.split("test")) == 30
    assert len(facts.twins) == TWINS


def test_the_slider_begins_where_every_pair_that_is_kept_still_shows(finished):
    facts = feature_facts(finished)
    least = min(twin.cosine for twin in facts.twins)
    assert least - 0.001 < facts.least_cosine <= least


def test_the_map_knows_whether_a_model_has_answered(drawn, finished):
    assert feature_facts(finished).predicted
    assert not feature_facts(read_sources(drawn("tuned"))).predicted
