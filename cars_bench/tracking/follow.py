"""Keeping a tracker up to date while something is trained, without the training noticing.

A thread reads the disk every few seconds, as the next command would, and writes what the
tracker lacks.  Whatever goes wrong there is told once, and made good by the next sync.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from cars_bench.errors import ModelMissing
from cars_bench.progress import Progress
from cars_bench.tracking.choose import open_tracker, without_credentials
from cars_bench.tracking.rows import sources, tracked_runs
from cars_bench.tracking.tracker import Tracker
from cars_bench.tuning.study import Study
from cars_bench.workspace import LockHeld, Workspace, locked

EVERY_SECONDS = 5.0
FIRST_SECONDS = 5.0
"""How long the beginning of a command waits for the tracker to answer."""
LAST_SECONDS = 30.0
"""How long the end of a command waits for the last sync."""
AGAIN_SECONDS = 0.2
LOCK_FILE = ".track.lock"
MOST_REASON = 160

Follow = Callable[[str], None]
Sources = tuple[tuple[str, int, int], ...]


@contextlib.contextmanager
def tracked(asked: str | None, workspace: Workspace, progress: Progress) -> Iterator[Follow]:
    """Show what the body does to studies in a tracker.

    Args:
        asked: As `--track`; `None` tracks nothing.
        workspace: Holds the studies.
        progress: Told where, and once where that fails.

    Yields:
        A function that is told the name of a study to follow, once or again; its earlier
        trials and runs are caught up with too.

    Raises:
        UsageError, InputError: As `open_tracker`, before the body begins.  A server that
            does not answer is only told: what is on disk can be sent at any later time, so
            that going on without it loses nothing, and stopping might lose a night.
    """
    if asked is None:
        yield lambda study: None
        return
    follower = Follower(open_tracker(asked, workspace), workspace, progress)
    follower.begin()
    try:
        yield follower.follow
    finally:
        follower.end()


def sync_study(tracker: Tracker, workspace: Workspace, name: str) -> None:
    """Write all of a study that the tracker does not hold; raises whatever goes wrong.

    Raises:
        LockHeld: Another process does so just now.
    """
    study = Study.open(workspace, name)
    with locked(study.folder / LOCK_FILE, f"Tracking of study {name!r}"):
        tracker.sync(list(tracked_runs(workspace, study)))


class _Moved(Exception):
    """A file went while it was read: a plan that came to nothing, a winner that is replaced."""


class Follower:
    """Syncs studies from a thread of its own until it is told to end.

    Args:
        tracker: Where to.
        workspace: Holds the studies.
        progress: Told what goes wrong.
        every_seconds: From the end of one sync to the next.
        last_seconds: That `end` waits.
    """

    def __init__(
        self,
        tracker: Tracker,
        workspace: Workspace,
        progress: Progress,
        every_seconds: float = EVERY_SECONDS,
        last_seconds: float = LAST_SECONDS,
    ) -> None:
        self.tracker = tracker
        self.workspace = workspace
        self.progress = progress
        self.every_seconds = every_seconds
        self.last_seconds = last_seconds
        self.failed = False
        self._studies: dict[str, Sources | None] = {}
        self._checked = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def begin(self) -> None:
        """Say where to, begin, and wait a little for the answer to whether it is there."""
        self.progress.log(f"Tracking: {self.tracker.shown}")
        self._thread.start()
        self._checked.wait(FIRST_SECONDS)

    def follow(self, study: str) -> None:
        """Sync a study from now on."""
        self._studies.setdefault(study, None)

    def end(self) -> None:
        """Sync a last time, and wait for that, but not for long."""
        self._ended.set()
        self._thread.join(self.last_seconds)
        if self._thread.is_alive():
            self._tell("it takes too long")

    def _run(self) -> None:
        with self._telling():
            self.tracker.check()
        self._checked.set()
        while not self._ended.wait(self.every_seconds):
            self._sync()
        until = time.monotonic() + self.last_seconds
        while not self._sync() and time.monotonic() < until:
            time.sleep(AGAIN_SECONDS)

    def _sync(self) -> bool:
        """Sync what has changed; whether nothing is left for the next time."""
        synced = [self._sync_one(name, seen) for name, seen in list(self._studies.items())]
        return all(synced)

    def _sync_one(self, name: str, seen: Sources | None) -> bool:
        with self._telling():
            try:
                self._sync_changed(name, seen)
            except (LockHeld, _Moved):
                return False
        return True

    def _sync_changed(self, name: str, seen: Sources | None) -> None:
        study = Study.open(self.workspace, name)
        found = sources(self.workspace, study)
        if found == seen:
            return
        try:
            sync_study(self.tracker, self.workspace, name)
        except (FileNotFoundError, ModelMissing) as error:
            if sources(self.workspace, study) == found:
                raise
            raise _Moved from error
        self._studies[name] = found

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Do something whose failure is the tracker's, and stops nothing."""
        try:
            yield
        except Exception as error:  # whatever a client library or a network comes up with
            self._tell(str(error).strip() or type(error).__name__)

    def _tell(self, reason: str) -> None:
        """Say once that the tracker fails.

        Args:
            reason: Not blank; its first line is said.
        """
        if self.failed:
            return
        self.failed = True
        line = without_credentials(reason.splitlines()[0]).rstrip(". ")[:MOST_REASON]
        self.progress.log(
            f"warning: {self.tracker.shown} fails ({line}); nothing is lost, "
            "and the next command with the same --track catches up."
        )
