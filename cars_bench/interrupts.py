"""Ctrl-C: what is running may end first, and no press is lost."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from cars_bench.progress import Progress

# Ctrl-C in a terminal goes to its whole group, and a worker is not to die of it.
OWN_GROUP: dict[str, Any] = {"start_new_session": True}
if sys.platform == "win32":
    OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


class Remembered:
    """Python's own answer to Ctrl-C, a KeyboardInterrupt, that also remembers the press.

    An interrupt that falls into a hook that C code calls (of the garbage
    collector, of a weak reference) is printed there and lost, as seen while
    JAX is loaded.

    Attributes:
        pressed: Whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.pressed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Answer one press."""
        self.pressed = True
        signal.default_int_handler(number, frame)


@contextlib.contextmanager
def interrupts_remembered() -> Iterator[Remembered]:
    """Remember each Ctrl-C of the body; outside the main thread there is none to remember."""
    remembered = Remembered()
    if threading.current_thread() is not threading.main_thread():
        yield remembered
        return
    before = signal.signal(signal.SIGINT, remembered)
    try:
        yield remembered
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def stop_when_asked(progress: Progress, message: str) -> Iterator[Callable[[], bool]]:
    """Let the piece of work that is running end after the first Ctrl-C; a second one stops now.

    A press that was lost before counts as the first.  Outside the main
    thread, where signals cannot be caught, nothing changes.

    Args:
        progress: Is told `message` at the first Ctrl-C.
        message: What will happen, as a sentence.

    Yields:
        A function that says whether Ctrl-C was pressed.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        progress.log(message)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        if isinstance(before, Remembered) and before.pressed:
            ask(signal.SIGINT, None)
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back while a process begins: it dies of one until it has its own group.

    The process inherits this, so that Ctrl-C never reaches it.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
