"""Looks at pictures with a detector: each once, decoded ahead of the network, kept as it goes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from cars_bench.data.detection import Detection, DetectorCrop, Picture, inside
from cars_bench.detectors.box_store import BoxStore
from cars_bench.detectors.detector import Detector, Prepared
from cars_bench.in_order import in_order
from cars_bench.progress import Progress, Task
from cars_bench.workspace import Workspace

KEPT_EVERY = 64
"""Pictures between two writes at most, and the seconds: what a kill at any moment may lose."""
KEPT_SECONDS = 5.0
LINES = 10
"""Lines in a log over the whole run."""


@dataclass(frozen=True)
class Finder:
    """Finds boxes for `prepare` and `predict`; a `BoxFinder`.

    Attributes:
        workspace: Whose `cache/boxes/` holds what was seen.
        detector: The network.
        crop: How the box of a picture is chosen.
    """

    workspace: Workspace
    detector: Detector
    crop: DetectorCrop

    def find(self, pictures: Sequence[Picture], progress: Progress) -> list[tuple[Detection, ...]]:
        """What each picture shows, in order; those that were looked at before are not again.

        Raises:
            DetectorFailed: The detector cannot go on; what it found until then is kept.
            ImageUnusable: A picture cannot be decoded.
            LockHeld: Another process is looking with this detector.
            OSError: A picture's file cannot be read, or nothing can be written.
        """
        store = BoxStore.of(self.workspace, self.detector.name, self.detector.digest)
        if any(picture.sha256 not in store.known() for picture in pictures):
            self._look(store, pictures, progress)
        return [store.known()[picture.sha256] for picture in pictures]

    def _look(self, store: BoxStore, pictures: Sequence[Picture], progress: Progress) -> None:
        title = f"Looking for the object with {self.detector.name}"
        with store.writing() as lines, progress.stage(title, len(pictures), "images") as task:
            new = {item.sha256: item for item in pictures if item.sha256 not in store.known()}
            task.advance(len(pictures) - len(new), earlier=True)
            fresh: dict[str, tuple[Detection, ...]] = {}
            kept = time.monotonic()
            try:
                for picture, boxes in self._seen(list(new.values())):
                    fresh[picture.sha256] = boxes
                    if len(fresh) == KEPT_EVERY or time.monotonic() - kept > KEPT_SECONDS:
                        store.add(lines, fresh)
                        fresh = {}
                        kept = time.monotonic()
                    task.advance()
                    _tell(task)
            finally:
                store.add(lines, fresh)

    def _seen(self, pictures: Sequence[Picture]) -> Iterator[tuple[Picture, tuple[Detection, ...]]]:
        looked: deque[tuple[Picture, Prepared]] = deque()
        for boxes in self.detector.detect(_noting(self._decoded(pictures), looked)):
            picture, prepared = looked.popleft()
            yield picture, tuple(_enlarged(boxes, prepared, picture))

    def _decoded(self, pictures: Sequence[Picture]) -> Iterator[tuple[Picture, Prepared]]:
        """Pictures as the network wants them, a few decoded ahead of it."""
        ahead = 4 * (os.cpu_count() or 1)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            begun = (
                partial(_done, picture, pool.submit(self.detector.prepared, picture.path))
                for picture in pictures
            )
            yield from in_order(begun, ahead + 1)


def _done(picture: Picture, prepared: Future[Prepared]) -> tuple[Picture, Prepared]:
    return picture, prepared.result()


def _noting(
    decoded: Iterable[tuple[Picture, Prepared]], looked: deque[tuple[Picture, Prepared]]
) -> Iterator[Prepared]:
    """The decoded pictures; `looked` keeps which are on their way through the network."""
    for item in decoded:
        looked.append(item)
        yield item[1]


def _enlarged(
    boxes: Iterable[Detection], prepared: Prepared, picture: Picture
) -> Iterator[Detection]:
    """Boxes of a prepared picture in pixels of the original, as far as they lie inside it."""
    across = picture.width / prepared.width
    down = picture.height / prepared.height
    for item in sorted(boxes, key=lambda item: -item.score):
        x1, y1, x2, y2 = item.box
        box = inside((x1 * across, y1 * down, x2 * across, y2 * down), picture)
        if box:
            rounded = (round(box[0], 1), round(box[1], 1), round(box[2], 1), round(box[3], 1))
            yield Detection(rounded, item.class_name, round(item.score, 4))


def _tell(task: Task) -> None:
    """A line at every tenth, for logs."""
    every = max(1, (task.total or 0) // LINES)
    if task.done % every == 0 or task.done == task.total:
        rate = f", {1 / task.pace:,.3g} images/s" if task.pace else ""
        task.line(f"{task.done:,} of {task.total:,} images{rate}")
