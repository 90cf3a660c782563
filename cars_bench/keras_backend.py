"""Which backend Keras runs on: it fixes that as it is imported, and there it stays."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cars_bench.errors import UsageError
from cars_bench.progress import chatter_withheld

if TYPE_CHECKING:
    from cars_bench.progress import Progress

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
VARIABLE = "KERAS_BACKEND"
TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
"""What TensorFlow is started with, unless the user says otherwise.

By itself it uses oneDNN on processors with AVX512-VNNI only; with AVX2 a training step takes 0.6 to
0.9 of the time with it too (`benchmarks/onednn.py`).
"""


def in_force() -> str | None:
    """The backend of the Keras that is imported; `None` while none is."""
    keras = sys.modules.get("keras")
    return str(keras.backend.backend()) if keras else None


def wanted(*preferred: str) -> str:
    """The user's choice (`KERAS_BACKEND`), else the first of these that is installed.

    Raises:
        UsageError: KERAS_BACKEND names one that is not there.
    """
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    chosen = os.environ.get(VARIABLE) or next(
        (name for name in preferred if name in installed), "tensorflow"
    )
    if chosen not in installed:
        raise UsageError(
            f"The Keras backend {chosen!r} is not installed here.",
            f"{VARIABLE}={' or '.join(installed)}, or unset it",
        )
    return chosen


def fastest_first(maps: bool) -> tuple[str, ...]:
    """Backends in the order in which heads are searched fastest on them.

    Args:
        maps: Heads take maps or pictures; JAX compiles convolutions on a CPU for minutes.
    """
    return ("tensorflow",) if maps else ("jax", "tensorflow")


def set_tensorflow_defaults() -> None:
    """Set what TensorFlow is started with, before it is imported, where the user set nothing."""
    for name, value in TENSORFLOW.items():
        os.environ.setdefault(name, value)


def choose_backend(progress: Progress, *preferred: str) -> str:
    """Set KERAS_BACKEND, before keras is imported, to the user's choice or the first installed.

    Returns:
        The backend in force.

    Raises:
        UsageError: As `wanted`.
    """
    set_tensorflow_defaults()
    chosen = wanted(*preferred)
    os.environ[VARIABLE] = chosen
    if "keras" not in sys.modules:  # takes seconds, on a cold disk many
        progress.log(f"Loading Keras on {BACKENDS[chosen]}")
    if chosen == "tensorflow":
        import_without_chatter("tensorflow")
        logging.getLogger("tensorflow").addFilter(_worth_saying)
    return chosen


def load_keras(progress: Progress, *preferred: str) -> str:
    """Import Keras into a process that goes on, such as a notebook's, if it is not there yet.

    Unlike `choose_backend` it leaves KERAS_BACKEND as the user has it, so that what is
    chosen for one piece of work is not taken for the user's choice by the next.

    Returns:
        The backend in force; where it is not the one wanted, that is said in one sentence.

    Raises:
        UsageError: As `wanted`.
    """
    found = in_force()
    if found is None:
        with _put_back(VARIABLE):
            found = choose_backend(progress, *preferred)
            import_without_chatter("keras")
    elif found not in preferred:
        progress.log(
            f"Keras was imported before, on {BACKENDS.get(found, found)}, and keeps to it; "
            f"for {BACKENDS[preferred[0]]} restart Python with {VARIABLE}={preferred[0]}."
        )
    return found


def import_without_chatter(module: str) -> None:
    """Import a library that logs to stderr from C++ while it loads; kept quiet unless it fails."""
    with chatter_withheld():
        importlib.import_module(module)


@contextlib.contextmanager
def _put_back(variable: str) -> Iterator[None]:
    """Leave an environment variable as it was before the body."""
    before = os.environ.get(variable)
    try:
        yield
    finally:
        os.environ.pop(variable, None)
        if before is not None:
            os.environ[variable] = before


def _worth_saying(record: logging.LogRecord) -> bool:
    """Withhold what TensorFlow logs as information, which it shows in notebooks, and a false alarm.

    That one is its warning of retracing about Keras' own functions.  All models share their
    code, and TensorFlow counts by code: the fifth model that is traced once, as the fifth size
    of batch, passes for one that is traced five times.
    """
    said = record.getMessage()
    alarm = "TensorFlowTrainer." in said and "triggered tf.function retracing" in said
    return record.levelno > logging.INFO and not alarm
