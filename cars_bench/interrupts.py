"""Ctrl-C: what is running may end first, no press is lost, and every end says so."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from cars_bench import SCHEMA_VERSION
from cars_bench.errors import Interrupted

if TYPE_CHECKING:
    from cars_bench.progress import Progress

INTERRUPTED = Interrupted("Interrupted; what was finished is kept.", "run it again")
SHOW_CURSOR = "\x1b[?25h\n"
"""What a terminal needs to hear where a bar was cut short."""


class LastWord:
    """The answer to Ctrl-C where nothing needs to be put in order: a word, and the end at once.

    So it is while the program and its libraries are loaded (some of which take a
    KeyboardInterrupt for an error of theirs), and at the second press.

    Attributes:
        said: What became of the command is told already.
    """

    def __init__(self) -> None:
        self.said = False
        self._stderr = os.dup(2)  # `progress.chatter_withheld` may take the other one away

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        """Answer one press."""
        if not self.said:
            self._say()
        os._exit(INTERRUPTED.code)

    def _say(self) -> None:
        """By the system's own call: the press may have fallen into a `print`."""
        said = {"code": INTERRUPTED.code, "message": INTERRUPTED.message, "fix": INTERRUPTED.fix}
        if "--json" in sys.argv:
            document = {"schema_version": SCHEMA_VERSION, "error": said}
            os.write(1, f"{json.dumps(document)}\n".encode())
            return
        begin = SHOW_CURSOR if os.isatty(self._stderr) else ""
        text = f"{begin}error: {INTERRUPTED.message}\n  fix: {INTERRUPTED.fix}\n"
        os.write(self._stderr, text.encode())


# Ctrl-C in a terminal goes to its whole group, and a worker is not to die of it.
OWN_GROUP: dict[str, Any] = {"start_new_session": True}
if sys.platform == "win32":
    OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


class Remembered:
    """Python's own answer to Ctrl-C, a KeyboardInterrupt, that also remembers the press.

    An interrupt that falls into a hook that C code calls (of the garbage
    collector, of a weak reference) is printed there and lost, as seen while
    JAX is loaded.  Within an import and at a second press the last word is said.

    Args:
        last: Says it; without one there are interrupts only.

    Attributes:
        pressed: Whether Ctrl-C was pressed.
        told: What became of the command is told already, and no press answered any more.
    """

    def __init__(self, last: LastWord | None) -> None:
        self.pressed = False
        self.told = False
        self._last = last

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Answer one press."""
        if self.told:
            return
        if self._last and (self.pressed or _imports(frame)):
            self._last(number, frame)
        self.pressed = True
        signal.default_int_handler(number, frame)

    def tell(self) -> None:
        """From here on it is told what became of the command, undisturbed."""
        self.told = True
        if self._last:
            self._last.said = True


@contextlib.contextmanager
def interrupts_remembered() -> Iterator[Remembered]:
    """Remember each Ctrl-C of the body; outside the main thread there is none to remember."""
    before = signal.getsignal(signal.SIGINT)
    remembered = Remembered(before if isinstance(before, LastWord) else None)
    if threading.current_thread() is not threading.main_thread():
        yield remembered
        return
    signal.signal(signal.SIGINT, remembered)
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
        if isinstance(before, Remembered):
            before.pressed = False
        signal.signal(signal.SIGINT, before)
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


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being loaded where the press fell."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


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
