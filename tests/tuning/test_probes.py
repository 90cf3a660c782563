"""Probes: right on data that a line separates, at chance on noise, once a study."""

from __future__ import annotations

import numpy as np
import pytest

from cars_bench.cache.store import Features
from cars_bench.progress import Progress
from cars_bench.tuning.leaderboard import leaderboard
from cars_bench.tuning.probes import PROBES, run_probes, standardised
from cars_bench.tuning.ranking import unpack
from cars_bench.tuning.study import Study, study_names
from tests.tuning.studies import make_cache


def features(count, apart, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.eye(3, 6) * apart
    x = (centres[labels] + rng.normal(0, 1, (count, 6)))[:, None].astype(np.float16)
    return Features([str(i) for i in range(count)], labels.astype(np.int64), x)


@pytest.mark.parametrize(("apart", "low", "high"), [(8.0, 0.95, 1.0), (0.0, 0.15, 0.55)])
@pytest.mark.parametrize("name", PROBES)
def test_a_probe_finds_what_is_there(name, apart, low, high):
    data = standardised(features(120, apart, 0), features(60, apart, 1))
    best = max(float((said == data.val_labels).mean()) for _, said in PROBES[name](data))
    assert low <= best <= high


def test_ridge_solves_its_normal_equations():
    data = standardised(features(120, 1.0, 0), features(60, 1.0, 1))
    targets = np.eye(3)[data.train_labels] - 1 / 3
    for values, said in PROBES["probe-ridge"](data):
        gram = data.train.T @ data.train + values["penalty"] * np.eye(6)
        expected = data.val @ np.linalg.solve(gram, data.train.T @ targets)
        assert (expected.argmax(1) == said).mean() > 0.98


def test_probes_join_the_leaderboard_and_are_run_once(workspace, tiny_dataset):
    make_cache(workspace, tiny_dataset)
    study = run_probes(workspace, None, None, Progress())
    written = study.ledger_path.read_bytes()
    run_probes(workspace, None, None, Progress())
    assert study.ledger_path.read_bytes() == written
    rows = leaderboard(study)
    assert {row.trial_id for row in rows} == set(PROBES)
    assert all(row.kind == "probe" and row.low <= row.score <= row.high for row in rows)
    for record in study.trials():
        assert unpack(record.correct).mean() == pytest.approx(record.score)


def test_probes_join_the_last_study_of_the_cache(workspace, tiny_dataset):
    cache = make_cache(workspace, tiny_dataset)
    Study.open_or_create(workspace, cache, tiny_dataset, "h")
    assert run_probes(workspace, None, None, Progress()).name == "h"
    assert study_names(workspace) == ["h"]
    assert Study.open(workspace).name == "h"


@pytest.mark.parametrize("changes", [{"cache_key": "0" * 16}, None])
def test_where_the_last_study_is_on_another_cache_or_gone_they_begin_one(
    workspace, tiny_dataset, changes
):
    cache = make_cache(workspace, tiny_dataset)
    study = Study.open_or_create(workspace, cache, tiny_dataset, "h")
    if changes:
        study.changed(**changes)
    else:
        (study.folder / "study.json").unlink()
    assert run_probes(workspace, None, None, Progress()).name.startswith("tiny-tiny")
