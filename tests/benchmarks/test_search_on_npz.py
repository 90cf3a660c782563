"""The benchmark on an exported cache: what it unpacks, what it runs, what it makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cars_bench.cache.export import export
from cars_bench.cache.store import FeatureCache
from cars_bench.workspace import Workspace
from tests.benchmarks.conftest import BENCHMARKS
from tests.tuning.studies import make_cache


@pytest.fixture
def benchmark_module(load_benchmark) -> ModuleType:
    return load_benchmark("search_on_npz")


@pytest.fixture
def exported(workspace, tiny_dataset, tmp_path) -> Path:
    return export(make_cache(workspace, tiny_dataset), tmp_path / "features.npz", "npz")


def test_an_exported_cache_is_unpacked_as_it_was(benchmark_module, workspace, exported, tmp_path):
    before = FeatureCache.open(workspace)
    unpacked = benchmark_module.unpacked(exported, Workspace(tmp_path / "other"))
    after = FeatureCache.open(Workspace(tmp_path / "other"))
    assert after == unpacked
    assert after.manifest.class_names == before.manifest.class_names
    for split in ("train", "val", "test"):
        one, other = before.load(split), after.load(split)
        assert one.image_ids == other.image_ids
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.x, other.x)


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (["cpu"], ["ours on jax, cpu", "fit on jax, cpu", "search on jax, cpu, default workers"]),
        (
            ["device", "cpu"],
            [
                "ours on jax, device",
                "fit on jax, device",
                "ours on jax, cpu",
                "search on jax, device, 1 workers",
                "search on jax, cpu, default workers",
            ],
        ),
    ],
)
def test_a_device_has_both_sides_and_the_cpu_beside_it_ours(benchmark_module, places, said):
    asked = benchmark_module.options().parse_args(["features.npz", "--workers", "1"])
    assert [str(item) for item in benchmark_module.settings(asked, places)] == said


def test_medians_stand_beside_their_ratios_to_the_first_side(benchmark_module):
    def runs(*seconds):
        return [{"linear": {"seconds": item, "all": item + 3, "val_top1": 0.5}} for item in seconds]

    place = benchmark_module.BESIDE
    ours, fit = (benchmark_module.Setting(side, "jax", place) for side in ("ours", "fit"))
    found = benchmark_module.summary({ours: runs(1.0, 9.0, 1.0), fit: runs(2.0, 5.0, 7.0)})
    said = found["trial_epoch"]["linear"]
    assert said["ours on jax, cpu"]["seconds_ratio"] == 1
    assert said["fit on jax, cpu"]["seconds"] == 5
    assert said["fit on jax, cpu"]["seconds_ratio"] == 5
    assert said["fit on jax, cpu"]["all_ratio"] == 2
    assert found["search"] == {}


@pytest.mark.slow
def test_the_whole_benchmark_ends_with_one_line_of_what_it_measured(exported):
    pytest.importorskip("jax")
    words = ["--epochs", "2", "--rounds", "1", "--search-rounds", "1", "--trials", "2"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "search_on_npz.py"), str(exported), *words],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(BENCHMARKS.parent)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said["trial_epoch"]) == 4
    for sides in said["trial_epoch"].values():
        assert set(sides) == {"ours on jax, cpu", "fit on jax, cpu"}
    assert said["search"]["search on jax, cpu, default workers"]["epochs"] > 0
