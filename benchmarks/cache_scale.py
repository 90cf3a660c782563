"""A cache of up to 1,000,000 synthetic records: write, open, verify, read one epoch.

Each phase runs in a process of its own, so that its peak memory is its own;
`import` is a process that only imports what the others do.

    python benchmarks/cache_scale.py --records 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cars_bench.cache.shards import Batch, PlannedShard
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.testing import RECIPE, MadeUpCache
from cars_bench.cache.verify import verify
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace

PHASES = ("import", "write", "open", "verify", "epoch")


def write(workspace: Workspace, records: int, width: int) -> None:
    """Write a complete cache."""
    noise = np.random.default_rng(0).standard_normal((4096, width)).astype(np.float16)

    def batch_of(shard: PlannedShard) -> Batch:
        names = [f"{number:09d}.jpg" for number in range(shard.start, shard.stop)]
        labels = np.zeros(shard.records, np.int64)
        return Batch(names, labels, shard.view, noise[: shard.records])

    MadeUpCache(
        recipe=RECIPE,
        dataset="synthetic",
        class_names=("synthetic",),
        counts={"train": records},
        shape=(width,),
    ).write(workspace, batch_of)


def epoch(workspace: Workspace) -> None:
    """Read every verified record once."""
    cache = FeatureCache.open(workspace)
    seen = sum(len(batch.features) for batch in cache.stream("train"))
    if seen != cache.manifest.images("train"):
        raise SystemExit(f"read {seen} records")


def run_phase(phase: str, workspace: Workspace, records: int, width: int) -> None:
    """Run one phase and print its seconds and peak memory."""
    started = time.perf_counter()
    if phase == "write":
        write(workspace, records, width)
    elif phase == "open":
        FeatureCache.open(workspace)
    elif phase == "verify":
        found = verify(workspace.features / RECIPE.key, Progress())
        if found.findings or found.records != records:
            raise SystemExit(f"verify: {found}")
    elif phase == "epoch":
        epoch(workspace)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(seconds, 4), "peak_mib": round(peak, 1)}))


def measure(folder: Path, records: int, width: int) -> dict[str, dict[str, float]]:
    """All phases at one size, each in its own process."""
    found = {}
    for phase in PHASES:
        command = [sys.executable, __file__, "--phase", phase, "--folder", str(folder)]
        command += ["--records", str(records), "--width", str(width)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[phase] = json.loads(output)
        print(f"{records:,} {phase}: {found[phase]}", flush=True)
    return found


def main() -> None:
    """Measure every size, and say how time and memory grow from the smallest to the largest."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options.add_argument("--width", type=int, default=1280, help="numbers of one feature")
    options.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help="where to write [default: temporary]")
    arguments = options.parse_args()
    if arguments.phase:
        run_phase(
            arguments.phase, Workspace(arguments.folder), arguments.records[0], arguments.width
        )
        return
    sizes = {}
    for records in arguments.records:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            sizes[records] = measure(Path(scratch), records, arguments.width)
    small = sizes[min(sizes)]
    large = sizes[max(sizes)]
    per_record = {
        phase: round(
            (large[phase]["seconds"] / max(sizes)) / (small[phase]["seconds"] / min(sizes)), 3
        )
        for phase in ("write", "verify", "epoch")
    }
    growth = {
        phase: round(large[phase]["peak_mib"] - small[phase]["peak_mib"], 1) for phase in PHASES
    }
    print(
        json.dumps(
            {
                "benchmark": "cache_scale",
                "width": arguments.width,
                "sizes": sizes,
                "seconds_per_record_ratio": per_record,
                "peak_growth_mib": growth,
            }
        )
    )


if __name__ == "__main__":
    main()
