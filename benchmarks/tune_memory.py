"""Memory of a search, trial by trial: the slope of what it and its workers hold.

python benchmarks/tune_memory.py --trials 60
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from searching import close, ledger_events, parser, prepared

from cars_bench.workspace import Workspace

STUDY, WARM_UP_TRIALS = "memory", 10
SPACE = """
name: memory
fixed: {epochs: 2, patience_epochs: 0, batch_size: 128}
hyperparameters:
  depth: {type: int, min: 0, max: 2}
  units_1: {type: int, min: 64, max: 512, log: true, when: {depth: [1, 2]}}
  units_2: {type: int, min: 64, max: 512, log: true, when: {depth: [2]}}
  learning_rate: {type: float, min: 3.0e-4, max: 1.0e-2, log: true}
"""


def tree_megabytes(root: int) -> float:
    """Resident memory of a process and everything below it."""
    parents, sizes = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                pages = int((folder / "statm").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(folder.name)] = int(stat[1])
            sizes[int(folder.name)] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    below, found = {root}, True
    while found:
        found = {pid for pid, parent in parents.items() if parent in below} - below
        below |= found
    return sum(sizes.get(pid, 0.0) for pid in below)


def ended(workspace: Workspace) -> int:
    """Trials with an end."""
    return sum(event["event"] == "completed" for event in ledger_events(workspace, STUDY))


def watched(workspace: Workspace, space: Path, arguments: argparse.Namespace) -> list[float]:
    """Megabytes right after each trial ended."""
    words = ["tune", "--space", str(space), "--trials", str(arguments.trials), "--study", STUDY]
    words += ["--workers", str(arguments.workers), "--repeats", "0", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cars_bench", *words],
        env=os.environ | {"CARS_BENCH_WORKSPACE": str(workspace.root)},
        stdout=subprocess.DEVNULL,
    )
    seen: list[float] = []
    while process.poll() is None:
        count = ended(workspace)
        if count > len(seen):
            seen += [tree_megabytes(process.pid)] * (count - len(seen))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"tune failed with {process.returncode}")
    return seen[: arguments.trials]


def main() -> None:
    """Watch one search."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--trials", type=int, default=60)
    options.add_argument("--workers", type=int, default=1)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = prepared(Path(folder), arguments)
        space = Path(folder) / "space.yaml"
        space.write_text(SPACE)
        seen = watched(workspace, space, arguments)
    steady = np.array(seen[WARM_UP_TRIALS:])
    slope = float(np.polyfit(np.arange(len(steady)), steady, 1)[0])
    close(
        {
            "megabytes_a_trial": round(slope, 3),
            "first_megabytes": round(float(steady[0]), 1),
            "last_megabytes": round(float(steady[-1]), 1),
            "most_megabytes": round(max(seen), 1),
            "trials": len(seen),
            "workers": arguments.workers,
        }
    )


if __name__ == "__main__":
    main()
