"""`kill -9` at random moments: the same command goes on, to the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cars_bench.cache.manifest import MANIFEST_FILE
from cars_bench.cache.store import cache_keys
from cars_bench.workspace import Workspace
from tests.cache.test_extract import digests

KILLS = int(os.environ.get("CARS_BENCH_KILLS", "3"))

# Small shards and slow images, so that a kill falls into the pass and not beside it.
SLOW_EXTRACT = """
import sys, time
from pathlib import Path
import cars_bench.cache.shards as plan
from cars_bench.cache.extract import extract
from cars_bench.cache.decoding import ImageSource
from cars_bench.cache.options import ExtractOptions
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
plan.RECORDS_PER_SHARD = 4
plain, seconds = ImageSource.pixels, float(sys.argv[2])
def slow(self, record, view):
    time.sleep(seconds)
    return plain(self, record, view)
ImageSource.pixels = slow
options = ExtractOptions(backbone="tiny", weights="none", image_size=48, batch_size=4, views=2,
                         runtime="tensorflow", dataset="tiny")
extract(Workspace(Path(sys.argv[1])), options, Progress())
"""


def start(space: Workspace, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SLOW_EXTRACT, str(space.root), str(seconds)]
    return subprocess.Popen(command, env=os.environ | {"KERAS_BACKEND": "tensorflow"})


def kill_in_the_pass(space: Workspace, rng: random.Random) -> None:
    """Start, wait until the pass has begun, then kill at a random moment of it."""
    process = start(space, 0.06)
    locks = space.features / ".locks"
    while process.poll() is None and not any(locks.glob("*")):
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 2.0))
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(workspace, tiny_dataset):
    straight = Workspace(workspace.root.parent / "straight")
    (straight.root / "cache").mkdir(parents=True)
    straight.datasets.symlink_to(workspace.datasets)
    assert start(straight, 0).wait() == 0
    rng = random.Random(0)
    for _ in range(KILLS):
        kill_in_the_pass(workspace, rng)
        for path in (workspace.features / ".locks").glob("*"):
            folder = workspace.features / path.name
            assert not (folder / MANIFEST_FILE).exists() or len(digests(folder)) > 20
    assert start(workspace, 0).wait() == 0
    (key,) = cache_keys(workspace)
    assert digests(Path(workspace.features / key)) == digests(straight.features / key)
