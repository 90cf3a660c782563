"""What every tracker can do: say which rows it holds, and take the others.

Which rows were written is asked of the tracker itself each time, so that nothing beside it
can disagree with it: a sync that is cut short at any place is made whole by the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from cars_bench.tracking.rows import Point, Status, TrackedRun
from cars_bench.workspace import sha256_file


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a tracker holds of a run.

    Attributes:
        begun: When the run began, as it was first written, in seconds since 1970.
        status: As it was last written.
        parameters: Names of its parameters.
        points: Name and step of its points.
        artifacts: SHA-256 of its files by name.
    """

    begun: float
    status: Status = "running"
    parameters: Set[str] = frozenset()
    points: Set[tuple[str, int]] = frozenset()
    artifacts: Mapping[str, str] = field(default_factory=dict)


class Tracker(ABC):
    """Where rows are shown.

    Attributes:
        shown: Its address without credentials.
    """

    shown: str

    @abstractmethod
    def check(self) -> None:
        """Raise whatever the tracker raises where it cannot be reached."""

    def sync(self, runs: Sequence[TrackedRun]) -> None:
        """Write the rows that the tracker does not hold; raises whatever the tracker raises."""
        for run in runs:
            written = self.written(run)
            if written is not None:
                self.write(run, written)

    @abstractmethod
    def written(self, run: TrackedRun) -> Written | None:
        """What the tracker holds of a run; `None` where it holds all of it."""

    @abstractmethod
    def write(self, run: TrackedRun, written: Written) -> None:
        """Write what is `missing` of a run.

        Args:
            run: The whole run.
            written: What the tracker holds of it.
        """


def missing(run: TrackedRun, written: Written) -> TrackedRun:
    """The run less what is written; a file that has changed since is missing."""
    return replace(
        run,
        begun=written.begun,
        parameters={
            name: value for name, value in run.parameters.items() if name not in written.parameters
        },
        points=[item for item in run.points if _place(item) not in written.points],
        artifacts=[path for path in run.artifacts if _changed(path, written.artifacts)],
    )


def _place(point: Point) -> tuple[str, int]:
    return point.name, point.step


def _changed(path: Path, written: Mapping[str, str]) -> bool:
    return written.get(path.name) != sha256_file(path)
