"""How long work is going, told to a person: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich import progress as bars
    from rich.live import Live

MINUTE, HOUR = 60, 3600  # seconds


class Task:
    """One counted piece of work inside a `Progress.stage`."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end, `None` while unknown."""
        if not self.total or not self.done:
            return None
        return self.seconds / self.done * (self.total - self.done)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more items; `note` is shown beside the bar."""
        self.done += count

    def line(self, text: str) -> None:
        """Say one finished item (a shard, a trial, an epoch) on a line of its own."""

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show the best so far above a bar; nothing where there is no bar."""


class Progress:
    """Tells nothing: what `--quiet` and tests use, and the base of the others."""

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str = "items") -> Iterator[Task]:
        """Open a counted stage; `total` may be `None` when unknown."""
        yield Task(total)

    def log(self, text: str) -> None:
        """Say one sentence."""


class PlainProgress(Progress):
    """One plain line per finished item, for logs and pipes."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self.stream = stream

    def log(self, text: str) -> None:
        """Print one line, at once."""
        print(text, file=self.stream, flush=True)

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str = "items") -> Iterator[Task]:
        """Print the title; each `Task.line` follows on a line of its own."""
        count = "" if total is None else f" ({total:,} {unit})"
        self.log(f"{title}{count}")
        yield _PlainTask(total, self)


class _PlainTask(Task):
    def __init__(self, total: int | None, progress: PlainProgress) -> None:
        super().__init__(total)
        self.progress = progress

    def line(self, text: str) -> None:
        left = self.seconds_left
        ahead = "" if left is None else f", {duration(left)} left"
        self.progress.log(f"  {text}{ahead}")


class TerminalProgress(Progress):
    """A live bar with rate and time left (rich), on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)

    def log(self, text: str) -> None:
        """Print one line above the bar."""
        self.console.print(text, markup=False)

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str = "items") -> Iterator[Task]:
        """Show a bar while the body runs."""
        from rich import progress as bars
        from rich.live import Live

        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[rate]}"),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[note]}", markup=False),
        )
        bar = bars.Progress(*columns, console=self.console)
        identity = bar.add_task(title, total=total, rate="", note="")
        with Live(bar, console=self.console, refresh_per_second=10) as live:
            yield _BarTask(total, bar, identity, unit, live)


class _BarTask(Task):
    def __init__(
        self, total: int | None, bar: bars.Progress, identity: bars.TaskID, unit: str, live: Live
    ) -> None:
        super().__init__(total)
        self._bar, self._identity, self._unit, self._live = bar, identity, unit, live

    def advance(self, count: int = 1, note: str = "") -> None:
        super().advance(count)
        rate = f"{self.done / max(self.seconds, 1e-9):.1f} {self._unit}/s"
        self._bar.update(self._identity, completed=self.done, rate=rate, note=note)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.console import Group
        from rich.table import Table

        table = Table(*columns, box=None)
        for row in rows:
            table.add_row(*row)
        self._live.update(Group(table, self._bar))

    def line(self, text: str) -> None:
        self._bar.console.print(f"  {text}", markup=False)


def for_stream(quiet: bool) -> Progress:
    """The progress that fits standard error: silent, a live bar, or plain lines."""
    if quiet:
        return Progress()
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()


@contextlib.contextmanager
def stop_when_asked(progress: Progress, message: str) -> Iterator[Callable[[], bool]]:
    """Let the piece of work that is running end after the first Ctrl-C; a second one stops now.

    Outside the main thread, where signals cannot be caught, nothing changes.

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
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `48 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"
