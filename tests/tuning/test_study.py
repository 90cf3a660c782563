"""A study's record: what is written, what is settled, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cars_bench.cache.store import FeatureCache
from cars_bench.errors import CacheStale, RecordDamaged, StudyMissing, UsageError
from cars_bench.tuning.ledger import Ledger
from cars_bench.tuning.study import Asked, SearchPlan, Study, Winner
from tests.tuning.studies import begin_trial, make_cache, write_study, write_trial

KEYS = [
    "schema_version", "name", "created", "cache_key", "dataset", "class_names", "features",
    "space", "oracle", "seed", "backend", "budget", "versions", "window", "asked", "winner",
    "checksum",
]  # fmt: skip
PLAN = SearchPlan(space={"name": "small"}, oracle="random", seed=3, epochs=4, backend="jax")


@pytest.fixture
def study(workspace, tiny_dataset):
    cache = make_cache(workspace, tiny_dataset)
    return Study.open_or_create(workspace, cache, tiny_dataset, None)


def written(study) -> dict:
    return json.loads((study.folder / "study.json").read_text())


def test_it_is_named_after_its_cache_and_is_the_default(workspace, study):
    assert study.name == f"tiny-tiny-{study.cache_key[:6]}"
    assert Study.open(workspace) == study
    assert study.record.features.width == 12
    assert study.class_names == ["bar", "cross", "disc", "square"]


def test_its_keys_are_those_of_its_record(study):
    assert list(written(study)) == KEYS
    winner = Winner(trial_id="t0001", refit="", candidates=3, score=0.5, expected_drop=0.01)
    done = study.settle(PLAN, 10).changed(window=4, asked=Asked("quick", 3), winner=winner)
    assert list(written(done)) == KEYS
    assert Study.read(study.folder) == done
    assert written(done)["winner"]["observed_drop"] is None


def test_classes_in_another_order_are_noticed(study):
    path = study.folder / "study.json"
    path.write_text(json.dumps(written(study) | {"class_names": study.class_names[::-1]}))
    with pytest.raises(RecordDamaged, match="a value was changed"):
        Study.read(study.folder)


def test_a_later_search_must_agree_with_the_first(study):
    settled = study.settle(PLAN, 10)
    assert settled.settle(PLAN, 20).record.budget.trials == 20
    with pytest.raises(UsageError, match="another seed and epochs"):
        settled.settle(replace(PLAN, seed=4, epochs=9), 10)


def test_a_damaged_record_is_refused(study):
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace('"cache_key"', '"cash_key"'))
    with pytest.raises(RecordDamaged, match="cash_key"):
        Study.read(study.folder)
    with pytest.raises(StudyMissing, match="nowhere"):
        Study.read(study.folder.with_name("nowhere"))


@pytest.mark.parametrize("name", ["../../x", "..", "a/b", "/tmp/x"])
def test_a_study_is_neither_begun_nor_opened_outside_its_tray(workspace, study, tiny_dataset, name):
    before = sorted(workspace.root.parent.rglob("*"))
    with pytest.raises(UsageError, match="cannot be named"):
        Study.open(workspace, name)
    cache = FeatureCache.open(workspace)
    with pytest.raises(UsageError, match="cannot be named"):
        Study.open_or_create(workspace, cache, tiny_dataset, name)
    assert sorted(workspace.root.parent.rglob("*")) == before
    workspace.remember("study", name=name)
    with pytest.raises(UsageError, match="cannot be named"):
        Study.open(workspace)


def test_another_cache_or_dataset_is_refused(tmp_path, tiny_dataset):
    study = write_study(tmp_path / "mine")
    study.require_cache("k")
    with pytest.raises(CacheStale, match="not on other"):
        study.require_cache("other")
    with pytest.raises(CacheStale, match="a, b, bar and more"):
        study.require_dataset(tiny_dataset)
    known = write_study(tmp_path / "known", class_names=tuple(tiny_dataset.class_names))
    with pytest.raises(CacheStale, match="changed since"):
        known.require_dataset(tiny_dataset)


def test_seeds_of_repeats_lie_apart(tmp_path):
    study = write_study(tmp_path / "mine", seed=5)
    assert [study.trial_seed, study.repeat_seed(1), study.repeat_seed(2)] == [5, 10_012, 20_019]


def test_only_a_completed_trial_is_found(tmp_path):
    study = write_study(tmp_path / "mine")
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, score=0.5)
        begin_trial(ledger, 1)
    assert study.trial("t0000").score == 0.5
    with pytest.raises(StudyMissing, match="t0001"):
        study.trial("t0001")
