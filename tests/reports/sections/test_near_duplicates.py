from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections import near_duplicates
from cars_bench.reports.sections.near_duplicates import MOST_ACROSS, MOST_WITHIN, facts, nearest


def test_the_planted_twin_across_the_splits_stands_first(finished):
    found = facts(finished)
    first = found.pairs[0]
    assert first.cosine == pytest.approx(1.0)
    assert (first.first.split, first.second.split) == ("test", "train")
    assert first.second.image_id == finished.dataset.split("train")["image_id"][0]
    assert first.across
    assert not first.same_file


def test_pairs_within_a_split_stand_behind_those_across_each_closest_first(finished):
    found = facts(finished)
    assert [pair.across for pair in found.pairs] == [True] * MOST_ACROSS + [False] * MOST_WITHIN
    for part in (found.pairs[:MOST_ACROSS], found.pairs[MOST_ACROSS:]):
        cosines = [pair.cosine for pair in part]
        assert cosines == sorted(cosines, reverse=True)
    pairs = [frozenset((pair.first.image_id, pair.second.image_id)) for pair in found.pairs]
    assert len(set(pairs)) == len(pairs)
    assert found.images == 90


def test_a_twin_within_the_training_split_is_found(finished):
    features = finished.features
    rows = features.rows("train")[[3, 30]]
    x = features.x.copy()
    x[rows[1]] = x[rows[0]]
    pair = next(item for item in facts(_with(finished, x)).pairs if not item.across)
    assert {pair.first.image_id, pair.second.image_id} == {features.image_ids[row] for row in rows}
    assert pair.cosine == pytest.approx(1.0)
    assert pair.relabelled
    table = finished.dataset.table.copy()
    table.loc[table["image_id"].isin([pair.first.image_id, pair.second.image_id]), "sha256"] = "ab"
    copied = replace(_with(finished, x), dataset=replace(finished.dataset, table=table))
    copied.__dict__["features"] = replace(features, x=x)
    assert next(item for item in facts(copied).pairs if not item.across).same_file


def test_the_test_images_that_training_has_seen_are_counted(finished, section):
    found = facts(finished)
    assert (found.tested, found.known) == (30, 1)
    assert found.seen == (found.pairs[0].first.image_id,)
    assert "1 of 30 test images has a training or validation image" in section("cache")
    features = finished.features
    x = features.x.copy()
    x[features.rows("test")[:5]] = x[features.rows("val")[:5]]
    assert facts(_with(finished, x)).known == 5
    x[features.rows("test")] = np.random.default_rng(0).normal(size=(30, 16))
    assert facts(_with(finished, x)).known == 0


def _with(inputs, x):
    changed = replace(inputs)
    changed.__dict__["features"] = replace(inputs.features, x=x)
    return changed


def test_without_features_or_with_one_image_there_are_none(drawn, finished):
    assert facts(read_inputs(drawn("prepared"))) is None
    alone = replace(
        finished.features,
        x=finished.features.x[:1],
        labels=finished.features.labels[:1],
        splits=("train",),
        image_ids=("a",),
    )
    changed = replace(finished)
    changed.__dict__["features"] = alone
    assert facts(changed) is None


@pytest.mark.parametrize("exact", [True, False])
def test_nearest_agrees_with_brute_force(monkeypatch, exact):
    if not exact:
        monkeypatch.setattr(near_duplicates, "MOST_EXACT", 10)
        monkeypatch.setattr(near_duplicates, "SKETCH", 4096)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(700, 5))
    splits = np.arange(700) % 3
    rows, cosines = nearest(x, splits)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    for split in range(3):
        masked = np.where(splits == split, alike, -np.inf)
        agreed = rows[:, split] == masked.argmax(axis=1)
        assert agreed.all() if exact else agreed.mean() > 0.6
        if exact:
            np.testing.assert_allclose(cosines[:, split], masked.max(axis=1), atol=1e-6)


def test_a_split_of_one_image_has_no_other_in_it():
    _, cosines = nearest(np.eye(3), np.array([0, 0, 1]))
    assert cosines[2, 1] == -np.inf
    assert np.isfinite(cosines[:2]).all()


def test_the_slider_begins_where_every_pair_still_shows(finished, page):
    found = facts(finished)
    least = min(pair.cosine for pair in found.pairs)
    assert least - 0.001 < found.least <= least
    assert f'min="{found.least}" max="1" step="0.001" value="{found.least}"' in page
