"""A process that has everything imported and forks one command after the other, to be killed.

Run as `python -m tests.killing WORKSPACE`: each line of stdin is one command as JSON, each line
of stdout what became of it.  A command is killed after so many seconds, or before
its n-th change to a file of the workspace; without either it ends by itself.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MODULES = (
    "cars_bench.cache.extract",
    "cars_bench.cli.app",
    "cars_bench.finetune.evaluate",
    "cars_bench.finetune.predict",
    "cars_bench.finetune.run",
    "cars_bench.reports.report",
    "cars_bench.tuning.probes",
    "cars_bench.tuning.search",
    "matplotlib.figure",
    "scipy.stats",
    "sklearn.linear_model",
)
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")
RECORDS_PER_SHARD = 4


class Kennel:
    """The test's side of such a process.

    Args:
        root: Of the workspace; what the commands print goes to files beside it.
        backend: Keras backend of its commands.
    """

    def __init__(self, root: Path, backend: str) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.killing", str(root)],
            env=os.environ | {"KERAS_BACKEND": backend, "CARS_BENCH_WORKSPACE": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(
        self, *argv: str, seconds: float | None = None, change: int | None = None
    ) -> dict[str, Any]:
        """Its exit code (-9 where it was killed), seconds, and changes where it ended by itself."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps({"argv": argv, "seconds": seconds, "change": change}),
              file=self.process.stdin, flush=True)  # fmt: skip
        return json.loads(self.process.stdout.readline())

    def said(self) -> str:
        """What the last command printed."""
        return "".join((self.root.parent / name).read_text() for name in ("said", "told"))

    def close(self) -> None:
        """End it."""
        self.process.communicate()


def main() -> None:
    """Serve until stdin ends."""
    for name in MODULES:
        importlib.import_module(name)
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        importlib.import_module("tensorflow")
    # Many small shards, so that a kill falls between them.
    importlib.import_module("cars_bench.cache.shards").RECORDS_PER_SHARD = RECORDS_PER_SHARD
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(_shot(Path(sys.argv[1]), **json.loads(line))), file=answers, flush=True)


def _shot(root: Path, argv: list[str], seconds: float | None, change: int | None) -> dict[str, Any]:
    begun = time.monotonic()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _command(root, argv, change, writer)
    os.close(writer)
    ended = _waited(pid, None if seconds is None else begun + seconds)
    with os.fdopen(reader) as told:
        changes = told.read()
    return {
        "code": os.waitstatus_to_exitcode(ended),
        "seconds": time.monotonic() - begun,
        "changes": int(changes or 0),
    }


def _waited(pid: int, deadline: float | None) -> int:
    while deadline is not None and time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    if deadline is not None:
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _command(root: Path, argv: list[str], change: int | None, writer: int) -> None:
    """In the fork: be the command, and say at the end how many changes it made."""
    counted = [0]

    def count(event: str, details: tuple[Any, ...]) -> None:
        if not _changes(root, event, details):
            return
        counted[0] += 1
        if counted[0] == change:
            os.kill(os.getpid(), signal.SIGKILL)

    os.dup2(os.open(root.parent / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(os.open(root.parent / "told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.argv = ["cars-bench", *argv]
    sys.addaudithook(count)
    code = 1
    try:
        sys.modules["cars_bench.cli.app"].main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(writer, str(counted[0]).encode())
        os._exit(code)


def _changes(root: Path, event: str, details: tuple[Any, ...]) -> bool:
    """Whether an audit event is a change to a file below the root."""
    if event == "open":
        written = details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(written) and str(details[0]).startswith(str(root))
    return event in CHANGES and str(details[0]).startswith(str(root))


if __name__ == "__main__":
    main()
