"""How long work is going, told to a person: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich import progress as bars
    from rich.live import Live

MINUTE = 60  # seconds
HOUR = 3600  # seconds
TINY = 1e-9
KILO = 1000
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""All but tabs and line ends."""


class Task:
    """One counted piece of work inside a `Progress.stage`.

    Attributes:
        total: Items in all; `None` when unknown.
        done: Items counted so far.
        earlier: Those of them that were done before this stage began.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0
        self.earlier = 0
        self._weights: Sequence[float] = ()
        self._begun = time.monotonic()
        self._latest = self._begun

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self._begun

    @property
    def pace(self) -> float | None:
        """Seconds an item of this stage has taken, `None` before the first."""
        count = self.done - self.earlier
        return (self._latest - self._begun) / count if count else None

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end, `None` while unknown."""
        if not self.total or self.pace is None:
            return None
        taken = (self._latest - self._begun) / self._work(self.earlier, self.done)
        since = time.monotonic() - self._latest
        return max(0.0, taken * self._work(self.done, self.total) - since)

    def weigh(self, weights: Sequence[float]) -> None:
        """Say how much each item takes against the others; all alike unless told.

        Args:
            weights: One an item, above 0, in any unit.
        """
        self._weights = weights

    def _work(self, begin: int, end: int) -> float:
        return sum(self._weights[begin:end]) if self._weights else end - begin

    def advance(self, count: int = 1, note: str = "", earlier: bool = False) -> None:
        """Count `count` more items.

        Args:
            count: How many.
            note: Shown beside the bar.
            earlier: They were done before this stage began, as those of a
                resumed run are, and tell nothing of its pace.
        """
        self.done += count
        if earlier:
            self.earlier += count
        else:
            self._latest = time.monotonic()

    def doing(self, text: str) -> None:
        """Say what goes on before the first item of this stage ends; nothing afterwards."""
        if self.pace is None:
            self._show(text)

    def _show(self, text: str) -> None:
        """Show what goes on where it is seen."""

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

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream

    def log(self, text: str) -> None:
        """Print one line, at once."""
        print(printable(text), file=self.stream, flush=True)

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str = "items") -> Iterator[Task]:
        """Print the title; each `Task.line` follows on a line of its own."""
        count = "" if total is None else f" ({plural(total, unit.removesuffix('s'))})"
        self.log(f"{title}{count}")
        yield _PlainTask(total, self)


class _PlainTask(Task):
    def __init__(self, total: int | None, progress: PlainProgress) -> None:
        super().__init__(total)
        self.progress = progress
        self._shown = ""

    def _show(self, text: str) -> None:
        if text != self._shown:
            self.progress.log(f"  {text}")
        self._shown = text

    def line(self, text: str) -> None:
        left = self.seconds_left
        ahead = "" if left is None else f", {duration(left)} left"
        self.progress.log(f"  {text}{ahead}")


class TerminalProgress(Progress):
    """A live bar with rate and time left, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, emoji=False)

    def log(self, text: str) -> None:
        """Print one line above the bar."""
        self.console.print(
            folded(printable(text), self.console.width), markup=False, soft_wrap=True
        )

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str = "items") -> Iterator[Task]:
        """Show a bar while the body runs."""
        from rich import progress as bars
        from rich.live import Live

        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[work].ahead}"),
            bars.TextColumn("{task.fields[note]}", markup=False),
        )
        bar = bars.Progress(*columns, console=self.console)
        with Live(bar, console=self.console, refresh_per_second=10) as live:
            yield _BarTask(title, total, unit, bar, live)


class _BarTask(Task):
    def __init__(
        self, title: str, total: int | None, unit: str, bar: bars.Progress, live: Live
    ) -> None:
        super().__init__(total)
        self._unit = unit
        self._bar = bar
        self._live = live
        self._identity = bar.add_task(title, total=total, work=self, note="")

    @property
    def ahead(self) -> str:
        """Rate and time left; rich's own forgets items that take longer than half a minute."""
        pace = self.pace
        left = self.seconds_left
        if pace is None:
            return ""
        per, name = (1, "s") if pace < 1 else (MINUTE, "min")
        rate = f"{per / max(pace, TINY):,.1f} {self._unit}/{name}"
        return rate if left is None else f"{rate}, {duration(left)} left"

    def advance(self, count: int = 1, note: str = "", earlier: bool = False) -> None:
        super().advance(count, note, earlier)
        self._bar.update(self._identity, completed=self.done, note=note)

    def _show(self, text: str) -> None:
        self._bar.update(self._identity, note=text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.console import Group
        from rich.table import Table

        table = Table(*columns, box=None)
        for row in rows:
            table.add_row(*row)
        self._live.update(Group(table, self._bar))

    def line(self, text: str) -> None:
        self._bar.console.print(f"  {printable(text)}", markup=False)


def for_stream(quiet: bool) -> Progress:
    """The progress that fits standard error, or a notebook: silent, a live bar, or lines."""
    if quiet:
        return Progress()
    live = sys.stderr.isatty() or in_notebook_with_widgets()
    return TerminalProgress() if live else PlainProgress()


def in_notebook_with_widgets() -> bool:
    """Whether this is a notebook in which rich can redraw a bar; it takes ipywidgets for that."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" and bool(find_spec("ipywidgets"))


def folded(text: str, width: int, hang: int = 2) -> str:
    """Lines no wider than `width`, broken between words only, as a path is to be copied whole.

    Args:
        text: Lines that may be longer.
        width: Columns of the terminal.
        hang: Columns by which what goes on is indented further.
    """
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + hang)
        lines += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [line]
    return "\n".join(lines)


def printable(text: str) -> str:
    r"""Text that can do nothing to a terminal: its controls are written out, as `\x1b`.

    Those too that turn the direction of writing, and bytes of a name that is not UTF-8.
    """
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plural(number: int, noun: str) -> str:
    """A number with its noun: `1 image`, `2,000 images`, `3 classes`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


def accuracy(value: float | None, low: float | None, high: float | None) -> str:
    """A share in [0, 1] and its 95% interval as a person reads them: `63.8% (60.1 to 67.2)`."""
    if value is None or low is None or high is None:
        return "not measured"
    return f"{value:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def size(count: float) -> str:
    """Bytes as a person says them: `812 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < KILO or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= KILO
    raise AssertionError("unreachable")


@contextlib.contextmanager
def chatter_withheld() -> Iterator[None]:
    """Withhold what libraries write to stderr, from C++ too; all of it is said if they fail.

    Nothing else may be told meanwhile.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        try:
            os.dup2(said.fileno(), 2)
            yield
        except Exception:
            sys.stderr.flush()
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `48 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"
