from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.features import (
    MOST_POINTS,
    card,
    facts,
    policy,
    project,
    sampled,
)


def test_every_test_image_is_on_the_map_with_its_answer(finished):
    points = facts(finished).points
    assert [point.image_id for point in points] == list(finished.dataset.split("test")["image_id"])
    assert all(0 <= point.x <= 1 and 0 <= point.y <= 1 for point in points)
    assert all(point.predicted is not None for point in points)


def test_without_a_cache_there_are_no_features(drawn):
    assert facts(read_inputs(drawn("prepared"))) is None


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


def test_the_facts_say_how_many_test_images_the_map_is_of(finished):
    assert facts(finished).images == len(finished.dataset.split("test")) == 30


def test_the_map_knows_whether_a_model_has_answered(drawn, finished):
    assert facts(finished).predicted
    assert not facts(read_inputs(drawn("tuned"))).predicted


def test_the_cache_card_counts_records_and_bytes(finished):
    found = card(finished)
    assert found is not None
    assert found.records == 90
    assert dict(found.facts)["Feature"] == "16, float32"
    assert dict(found.facts)["Speed"] == "40 images/s"


def test_a_cache_of_the_plain_view_has_no_augmentation_to_speak_of(finished):
    extraction = replace(finished.manifest.extraction, augment="default")
    manifest = replace(finished.manifest, extraction=extraction)
    found = card(replace(finished, manifest=manifest))
    assert dict(found.facts)["Augmentation"] == "none (plain view only)"
    second = [replace(shard, view=1) for shard in manifest.select("train", 0)]
    assert policy(replace(manifest, shards=(*manifest.shards, *second))) == "default"


def test_nothing_is_said_of_a_cache_that_is_not_there(drawn):
    assert card(read_inputs(drawn("prepared"))) is None
