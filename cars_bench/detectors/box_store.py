"""What detectors saw, one line a picture: `cache/boxes/DETECTOR.jsonl`, only ever appended to.

A picture is known by its bytes, so it is looked at once per detector, whatever dataset it
stands in.  Everything that the detector is at all sure of is kept, so that other classes,
thresholds and margins ask it nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cars_bench.data.detection import Detection
from cars_bench.documents import from_json, to_json
from cars_bench.errors import UsageError
from cars_bench.lines import Lines, damaged_line, read_lines
from cars_bench.workspace import Workspace, locked

MEND = "delete the file; the pictures will be looked at again"


@dataclass(frozen=True)
class Seen:
    """A line: what one detector saw in one picture.

    Attributes:
        sha256: Digest of the picture's file.
        detector: Digest of the detector.
        boxes: In pixels of the upright original, surest first; empty where it saw nothing.
    """

    sha256: str
    detector: str
    boxes: tuple[Detection, ...]


class BoxStore:
    """The boxes of one detector.

    Args:
        path: Its file.
        detector: Digest of the detector; lines of another version of it are passed over.

    Raises:
        RecordDamaged: A line is not as it was written.
    """

    def __init__(self, path: Path, detector: str) -> None:
        self._path = path
        self._detector = detector
        self._known = dict(self._read())

    @classmethod
    def of(cls, workspace: Workspace, name: str, detector: str) -> BoxStore:
        """That of the detector called `name`."""
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[-100:]
        return cls(workspace.root / "cache" / "boxes" / f"{slug}.jsonl", detector)

    def known(self) -> Mapping[str, tuple[Detection, ...]]:
        """What was seen, by the digest of the picture's file."""
        return self._known

    @contextlib.contextmanager
    def writing(self) -> Iterator[Lines]:
        """Hold the file for writing; what others wrote since is known then.

        Raises:
            LockHeld: Another process is looking with this detector.
        """
        lock = self._path.with_name(f".{self._path.name}.lock")
        with locked(lock, f"detection into {self._path.name}"), Lines(self._path) as lines:
            self._known = dict(self._read())
            yield lines

    def add(self, lines: Lines, found: Mapping[str, tuple[Detection, ...]]) -> None:
        """Keep what was seen; it is on the disk when this returns."""
        seen = (Seen(sha256, self._detector, boxes) for sha256, boxes in found.items())
        lines.append(*map(to_json, seen))
        self._known |= found

    def _read(self) -> Iterator[tuple[str, tuple[Detection, ...]]]:
        for number, line in read_lines(self._path, MEND):
            line.pop("digest", None)
            try:
                seen = from_json(Seen, line)
            except UsageError as error:
                raise damaged_line(number, self._path, MEND) from error
            if seen.detector == self._detector:
                yield seen.sha256, seen.boxes
