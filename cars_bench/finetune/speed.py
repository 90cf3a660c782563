"""How fast a finished model answers, and on which machine that was measured.

Keras is not imported here: what was measured is part of a run's record.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

BATCHES = (1, 32)
MOST_CALLS = 9
MOST_SECONDS = 3.0
CPUINFO = Path("/proc/cpuinfo")

Answer = Callable[[npt.NDArray[np.float32]], object]


@dataclass(frozen=True)
class BatchSpeed:
    """One size of batch.

    Attributes:
        batch: Images asked at once.
        seconds: Of one image, at the median over the calls.
    """

    batch: int
    seconds: float

    @property
    def milliseconds(self) -> str:
        """Of one image, in words."""
        return f"{1000 * self.seconds:.3g} ms"


@dataclass(frozen=True)
class Speed:
    """How fast a model answers once its images are decoded and resized.

    Attributes:
        machine: Processor and cores, and accelerators where there are any.
        batches: Smallest first.
    """

    machine: str
    batches: tuple[BatchSpeed, ...]

    @property
    def text(self) -> str:
        """In one sentence without its full stop."""
        said = [
            f"{item.milliseconds} an image "
            + ("alone" if item.batch == 1 else f"in a batch of {item.batch}")
            for item in self.batches
        ]
        return f"{', '.join(said)}, decoding not included ({self.machine})"


def measure_speed(answer: Answer, size: int, accelerators: int = 0) -> Speed:
    """Time a model on random pixels, after one call that compiles.

    Args:
        answer: The model, from float32 `[B, S, S, 3]`; returns when it has answered.
        size: S.
        accelerators: How many it runs on.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (max(BATCHES), size, size, 3))
    images = pixels.astype(np.float32)
    measured = [_measured(answer, images[:batch]) for batch in BATCHES]
    return Speed(machine(accelerators), tuple(measured))


def _measured(answer: Answer, images: npt.NDArray[np.float32]) -> BatchSpeed:
    seconds = median_seconds(lambda: answer(images))
    return BatchSpeed(len(images), float(f"{seconds / len(images):.4g}"))


def median_seconds(call: Callable[[], object]) -> float:
    """Of a call at the median, after one that compiles."""
    call()
    return statistics.median(_timed(call))


def _timed(call: Callable[[], object]) -> Iterator[float]:
    """Seconds of each call, until there are enough or they took long enough."""
    begun = time.perf_counter()
    for _ in range(MOST_CALLS):
        start = time.perf_counter()
        call()
        yield time.perf_counter() - start
        if time.perf_counter() - begun > MOST_SECONDS:
            return


def machine(accelerators: int = 0) -> str:
    """This machine in words, such as `AMD EPYC 9B14, 2 cores`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = f"{cores} core{'' if cores == 1 else 's'}"
    several = "" if accelerators == 1 else "s"
    fast = f", {accelerators} accelerator{several}" if accelerators else ""
    return f"{processor()}, {count}{fast}"


def processor() -> str:
    """What the machine calls its processor."""
    return processor_field("model name") or platform.processor() or platform.machine()


def processor_field(name: str) -> str:
    """What Linux says of the processor, such as its `flags`; empty where the system does not."""
    told = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.is_file() else ""
    found = re.search(rf"^{name}\s*:\s*(.+)$", told, re.MULTILINE)
    return found[1].strip() if found else ""
