"""The process of one worker: `python -m cars_bench.tuning.worker_process`.

It reads one JSON object a line on standard input (first where the data is,
then jobs) and writes one a line on standard output.  It listens before
anything heavy is loaded, and when its input ends it stops at once, so no
worker outlives its search, however that ended.  A library that holds the
interpreter for long may keep it from hearing so; Linux then ends it.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
from typing import IO, Any

from cars_bench.documents import from_json
from cars_bench.errors import CarsBenchError
from cars_bench.tuning.worker_pool import TrainingJob, WorkerConfig

END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux: the signal that a process gets when its parent dies."""


def main() -> None:
    """Serve jobs until standard input ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(END_WITH_PARENT, int(signal.SIGKILL))
    voice = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(what: str, **details: Any) -> None:
        print(json.dumps({"say": what} | details, allow_nan=False), file=voice, flush=True)

    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, lines), daemon=True).start()
    config = from_json(WorkerConfig, json.loads(lines.get()))
    say("doing", text="loading Keras")
    from cars_bench.tuning.worker import Worker

    try:
        worker = Worker(config, say)
        while True:
            worker.run(from_json(TrainingJob, json.loads(lines.get())))
    except CarsBenchError as error:
        say("stop", kind=type(error).__name__, message=error.message, fix=error.fix)


def _listen(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    for line in stream:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
