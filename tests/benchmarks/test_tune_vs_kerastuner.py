"""The peer of the search benchmark: what it reads, and how often."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from cars_bench.cache.store import FeatureCache
from tests.benchmarks.conftest import BENCHMARKS
from tests.tuning.studies import make_cache


@pytest.fixture
def benchmark_module(load_benchmark) -> ModuleType:
    return load_benchmark("tune_vs_kerastuner")


@pytest.fixture
def cache(workspace, tiny_dataset) -> FeatureCache:
    return make_cache(workspace, tiny_dataset)


@pytest.mark.parametrize("peer", ["cached", "parsing"])
def test_the_peer_reads_the_same_features(benchmark_module, cache, peer):
    for split in ("train", "val"):
        ours = cache.load(split)
        read = list(benchmark_module.peer_data(cache, split, peer).as_numpy_iterator())
        np.testing.assert_array_equal([row for row, _ in read], ours.x[:, 0].astype(np.float32))
        assert [label for _, label in read] == ours.labels.tolist()


@pytest.mark.parametrize(("peer", "kept"), [("cached", True), ("parsing", False)])
def test_after_the_first_epoch_a_fair_peer_needs_no_file(benchmark_module, cache, peer, kept):
    data = benchmark_module.peer_data(cache, "train", peer)
    count = len(list(data))
    for shard in cache.folder.glob("*.tfrecord"):
        shard.unlink()
    if kept:
        assert len(list(data)) == count == 36
    else:
        with pytest.raises(Exception, match="No such file"):
            list(data)


def test_the_fair_peer_is_the_default_and_another_is_refused(benchmark_module, capsys):
    assert benchmark_module.asked().parse_args([]).peer == "cached"
    with pytest.raises(SystemExit):
        benchmark_module.asked().parse_args(["--peer", "slow"])
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_benchmark_ends_with_one_line_of_what_it_measured():
    pytest.importorskip("jax")
    words = ["--trials", "1", "--epochs", "1", "--rounds", "1", "--width", "8", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "tune_vs_kerastuner.py"), *words],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(BENCHMARKS.parent)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["peer"] == "cached"
    assert said["ratio"] > 0
    assert said["same_heads"]
