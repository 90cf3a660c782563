"""`cars-bench tune` as a process of its own, in a group of its own, as in a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cars_bench.workspace import Workspace

ROOT = Path(__file__).parents[2]
TRIALS = 4
PATIENCE_SECONDS = 300.0

T = TypeVar("T")


def command(
    workspace: Workspace, space: Path, *options: str, trials: int = TRIALS
) -> subprocess.Popen[str]:
    """Begin a search of small heads."""
    environment = os.environ | {"CARS_BENCH_WORKSPACE": str(workspace.root)}
    words = ["tune", "--json", "--space", str(space), "--trials", str(trials), "--repeats", "1"]
    return subprocess.Popen(
        [sys.executable, "-m", "cars_bench", *words, *options],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, dict]:
    """Its exit code and its document."""
    printed, _ = process.communicate(timeout=600)
    return process.returncode, json.loads(printed)


def children(pid: int) -> list[int]:
    """The processes that it began."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], check=False, capture_output=True, text=True
    )
    return [int(word) for word in listed.stdout.split()]


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody waits for does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for(condition: Callable[[], T], process: subprocess.Popen[str]) -> T:
    """What `condition` says as soon as it says anything; the process must run meanwhile."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    raise AssertionError("waited in vain")
