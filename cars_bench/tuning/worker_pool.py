"""The search's side of its workers: start them, hand out jobs, hear what they say."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import cars_bench
from cars_bench import errors
from cars_bench.documents import to_json
from cars_bench.errors import CarsBenchError
from cars_bench.interrupts import OWN_GROUP, interrupts_held_back
from cars_bench.training.specs import HeadSpec, TrainingSpec

WORKER = (sys.executable, "-P", "-m", "cars_bench.tuning.worker_process")
GROWTH_BYTES = 400 * 2**20
ATTEMPTS = 2
MOST_WORKERS = 4
CHECKPOINT_AFTER_SECONDS = 60.0
THREAD_VARIABLES = (
    "NPROC",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# One thread; and quick to compile, since a trial's program runs for seconds only.
XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false",
    "--xla_cpu_parallel_codegen_split_count=1",
    "--xla_backend_optimization_level=1",
)

Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Where a worker finds its data.

    Attributes:
        workspace: Root of the workspace.
        study: Name of the study.
        cache_key: Of the features.
        classes: Number of classes.
        checkpoint_after_seconds: A training longer than this is written down
            after every epoch.
    """

    workspace: str
    study: str
    cache_key: str
    classes: int
    checkpoint_after_seconds: float = CHECKPOINT_AFTER_SECONDS


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One thing for a worker to do.

    Attributes:
        kind: Train a trial's head, train it again with another seed, or store the winner.
        trial_id: Whose head it is.
        head: The head; the worker looks the winner's up itself.
        training: Its training.
        seed: Of the training.
        checkpoint: File for where it stands.
        known_epochs: Epochs that the ledger holds of it.
        repeat: Which repeat it is, from 1; 0 is the trial itself.
        refit: `store`: `train+val` or empty.
        attempt: How many workers died of it.
    """

    kind: Literal["trial", "repeat", "store"]
    trial_id: str
    head: HeadSpec | None = None
    training: TrainingSpec | None = None
    seed: int = 0
    checkpoint: str = ""
    known_epochs: int = 0
    repeat: int = 0
    refit: str = ""
    attempt: int = 0


class _Member:
    """One worker process."""

    def __init__(self, config: WorkerConfig, environment: dict[str, str], log: Path) -> None:
        package = str(Path(cars_bench.__file__).parents[1])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        with log.open("ab") as stderr, interrupts_held_back():
            self.process = subprocess.Popen(
                WORKER,
                env=os.environ | environment | {"PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                **OWN_GROUP,
            )
        self.job: TrainingJob | None = None
        self.memory = 0
        self.first_memory = 0
        self._heard = b""
        self.write(to_json(config))

    @property
    def grown(self) -> bool:
        """Whether it takes much more memory than after its first job."""
        return self.memory - self.first_memory > GROWTH_BYTES

    def write(self, document: dict[str, Any]) -> None:
        """Send one line; a dead worker is noticed when it is heard next."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write((json.dumps(document) + "\n").encode())
            self.process.stdin.flush()

    def fileno(self) -> int:
        """What it is heard by."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def messages(self) -> list[Message] | None:
        """What it said since; `None` when it is dead."""
        data = os.read(self.fileno(), 2**16)
        if not data:
            return None
        *lines, self._heard = (self._heard + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """End it; an idle one by ending its input, a busy one at once."""
        if self.job is not None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self.process.wait()


class WorkerPool:
    """Up to `size` workers; a job whose worker dies is given to another one once.

    Args:
        size: How many.
        config: Where the data is.
        folder: Of the study; `workers.log` there takes what the workers' libraries print.
        tell: Says that a worker died.
        backend: That Keras runs on there; `None` leaves it to the environment.
    """

    def __init__(
        self,
        size: int,
        config: WorkerConfig,
        folder: Path,
        tell: Callable[[str], None] = lambda _: None,
        backend: str | None = None,
    ) -> None:
        self.size = size
        self.config = config
        self.tell = tell
        self.log = folder / "workers.log"
        self.compiled = folder / "compiled"
        threads = None if size == 1 else max(1, cores() // size)
        self.environment = (
            thread_limits(threads) | shared_programs(self.compiled) | memory_as_needed()
        )
        if backend:
            self.environment |= {"KERAS_BACKEND": backend}
        self._members: list[_Member] = []
        self.log.unlink(missing_ok=True)
        shutil.rmtree(self.compiled, ignore_errors=True)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self._members:
            member.close()
        self._members.clear()
        shutil.rmtree(self.compiled, ignore_errors=True)

    @property
    def free(self) -> bool:
        """Whether another job may be submitted."""
        return sum(member.job is not None for member in self._members) < self.size

    @property
    def busy(self) -> bool:
        """Whether any job is running."""
        return any(member.job is not None for member in self._members)

    def start(self, count: int) -> None:
        """Have workers get ready before there is anything to do."""
        while len(self._members) < min(count, self.size):
            self._members.append(_Member(self.config, self.environment, self.log))

    def submit(self, job: TrainingJob) -> None:
        """Give a job to a worker at rest; there must be one (`free`)."""
        idle = [member for member in self._members if member.job is None]
        if not idle:
            self.start(len(self._members) + 1)
            idle = self._members[-1:]
        idle[0].job = job
        idle[0].write(to_json(job))

    def wait(self) -> Iterator[tuple[TrainingJob, Message]]:
        """Wait until a worker says something; with it the job that it speaks of.

        Raises:
            CarsBenchError: Something that no other worker could mend.
        """
        with selectors.DefaultSelector() as selector:
            for member in self._members:
                if member.job is not None:
                    selector.register(member, selectors.EVENT_READ, member)
            ready = [key.data for key, _ in selector.select()]
        for member in ready:
            yield from self._heard(member)

    def _heard(self, member: _Member) -> Iterator[tuple[TrainingJob, Message]]:
        messages = member.messages()
        job = member.job
        assert job is not None
        if messages is None:
            yield from self._lost(member, job)
            return
        for message in messages:
            if message["say"] == "stop":
                raise _error(message)
            if message["say"] in ("completed", "failed"):
                self._rest(member, message)
            yield job, message

    def _rest(self, member: _Member, message: Message) -> None:
        """A worker has ended its job; one that has grown too big is replaced."""
        member.job = None
        member.memory = int(message.pop("memory_bytes", 0))
        member.first_memory = member.first_memory or member.memory
        if member.grown:
            self._dismiss(member)

    def _lost(self, member: _Member, job: TrainingJob) -> Iterator[tuple[TrainingJob, Message]]:
        self._dismiss(member)
        again = replace(job, attempt=job.attempt + 1)
        code = member.process.returncode
        if again.attempt < ATTEMPTS:
            self.tell(f"The worker of {job.trial_id} died (exit {code}); another one tries again.")
            self.submit(again)
            return
        reason = f"its worker died {ATTEMPTS} times (exit {code}), perhaps for want of memory"
        yield job, {"say": "failed", "reason": reason, "seconds": 0.0}

    def _dismiss(self, member: _Member) -> None:
        member.close()
        self._members.remove(member)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """One single-threaded worker a core, up to four: small heads gain little from threads."""
    return min(cores(), MOST_WORKERS)


def thread_limits(threads: int | None) -> dict[str, str]:
    """Environment that holds a worker's libraries to so many threads; `None` leaves them."""
    if threads is None:
        return {}
    limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if threads == 1:
        limits["XLA_FLAGS"] = " ".join(filter(None, [os.environ.get("XLA_FLAGS"), *XLA_FLAGS]))
    return limits


def shared_programs(folder: Path) -> dict[str, str]:
    """Environment that has JAX keep compiled programs in a folder.

    A repeat, or a head of the same shape and constants, is then not compiled
    again, by no worker.  Other backends do not look at it.
    """
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def memory_as_needed() -> dict[str, str]:
    """Environment that has a worker take a GPU's memory as it needs it.

    By default JAX takes three quarters of it at once, and TensorFlow all of it, so that the
    second worker finds none.  What the user set stays.
    """
    wanted = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _error(message: Message) -> CarsBenchError:
    """The error that a worker could not go on from, as it was there."""
    kind: type[CarsBenchError] = getattr(errors, message["kind"], CarsBenchError)
    return kind(message["message"], message["fix"])
