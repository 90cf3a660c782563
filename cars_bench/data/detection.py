"""Boxes that a detector found: which of them a picture is cut to, and how good they are.

The networks that find them are in `cars_bench.detectors`; this room knows only their answers.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cars_bench.data.images import Box
from cars_bench.documents import within
from cars_bench.errors import UsageError
from cars_bench.progress import Progress, plural

LEAST_SCORE = 0.05
"""Detections below it are not kept, so no threshold may be lower."""
DEFAULT_THRESHOLD = 0.3
MOST_MARGIN = 1.0
LEAST_SIDE = 8.0
"""Pixels of the original; no smaller box is cut to, since nothing can be told from so few."""
SHOWN_CLASSES = 5


@dataclass(frozen=True)
class Detection:
    """One object that a detector sees.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the upright original.
        class_name: What it is, in the detector's words.
        score: How sure the detector is, in [0, 1].
    """

    box: Box
    class_name: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture to be looked at.

    Attributes:
        path: Its file.
        sha256: Digest of the file's bytes.
        width: Pixels of the upright original.
        height: Pixels of the upright original.
    """

    path: Path
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class DetectorFiles:
    """What a detector needs beside its name; which of it depends on the kind.

    Attributes:
        weights: File with the network's weights, where the name does not tell them.
        python: The interpreter that has detectron2.
        names: Text file with the names of the classes, a line each.
    """

    weights: str | None = None
    python: str | None = None
    names: str | None = None


@dataclass(frozen=True, kw_only=True)
class DetectorCrop:
    """How each picture's box is found; kept by the dataset and by every model made of it.

    Attributes:
        detector: Its name as `--crop detector:NAME` takes it.
        digest: SHA-256 over everything that can change what it answers.
        classes: Only these are taken; empty takes every class.
        threshold: Least score of a detection that is taken, in [0.05, 1].
        margin: Added on each side, as a share of the box's width and height, in [0, 1].
        files: What the detector needed beside its name, where it was first used.
    """

    detector: str
    digest: str
    classes: tuple[str, ...] = ()
    threshold: float = DEFAULT_THRESHOLD
    margin: float = 0.0
    files: DetectorFiles = DetectorFiles()

    def __post_init__(self) -> None:
        within("threshold", self.threshold, LEAST_SCORE, 1)
        within("margin", self.margin, 0, MOST_MARGIN)

    def chosen(self, found: Sequence[Detection]) -> Detection | None:
        """The largest of those that are taken, the surer of two equals; `None` without any."""
        taken = [item for item in found if self._takes(item)]
        return max(taken, key=lambda item: (area(item.box), item.score), default=None)

    def box(self, found: Sequence[Detection], picture: Picture) -> Box | None:
        """The whole pixels that a picture is cut to; `None` takes all of it."""
        chosen = self.chosen(found)
        return None if chosen is None else _widened(chosen.box, self.margin, picture)

    def _takes(self, item: Detection) -> bool:
        small = min(item.box[2] - item.box[0], item.box[3] - item.box[1]) < LEAST_SIDE
        wanted = not self.classes or item.class_name in self.classes
        return wanted and item.score >= self.threshold and not small


class BoxFinder(Protocol):
    """Finds what is in pictures; `cars_bench.detectors` has the real ones."""

    @property
    def crop(self) -> DetectorCrop:
        """How the box of a picture is chosen among what is found."""

    def find(self, pictures: Sequence[Picture], progress: Progress) -> list[tuple[Detection, ...]]:
        """What each picture shows, in order, as far as the detector is at all sure of it."""


@dataclass(frozen=True, kw_only=True)
class DetectionSummary:
    """How cutting a dataset by a detector went; stands in its card.

    Attributes:
        crop: How the boxes were found and chosen.
        found: Images that have a box.
        not_found: Images that are taken whole.
        median_share: Of the picture's area that the box covers, over the images with one;
            `None` without any.
        classes: How many boxes are of each class, most first.
        compared: Images that have a box of the source too.
        mean_iou: Of the two, over all of those (0 where none was found); `None` without any.
    """

    crop: DetectorCrop
    found: int
    not_found: int
    median_share: float | None
    classes: dict[str, int]
    compared: int = 0
    mean_iou: float | None = None

    def lines(self, cut: bool = True) -> list[str]:
        """As a few sentences for a terminal.

        Args:
            cut: The images that have a box are cut to it; else they stay whole.
        """
        total = self.found + self.not_found
        share = self.median_share
        covered = "" if share is None else f" (median share of the picture {share:.0%})"
        said = [
            f"boxes: found in {self.found:,} of {plural(total, 'image')} by {self.crop.detector}"
            f"{covered}{self._whole() if cut else self._unknown()}"
        ]
        if self.classes:
            said.append(f"found: {self._classes()}")
        if self.mean_iou is not None:
            said.append(
                f"against the source's own boxes: mean IoU {self.mean_iou:.2f} "
                f"over {plural(self.compared, 'image')}"
            )
        return said

    def warnings(self, cut: bool = True) -> list[str]:
        """One sentence where most images have no box, else nothing.

        Args:
            cut: As for `lines`.
        """
        total = self.found + self.not_found
        if self.found >= self.not_found:
            return []
        return [
            f"The detector found {'nothing to cut to' if cut else 'no object'} in "
            f"{self.not_found:,} of "
            f"{plural(total, 'image')}: take other --detect-classes, a lower --detect-threshold "
            f"or another detector, or leave {'--crop' if cut else '--boxes'} out."
        ]

    def _unknown(self) -> str:
        """How many images have no box, where none is cut."""
        return f"; {self.not_found:,} without" if self.not_found else ""

    def _whole(self) -> str:
        """What becomes of the images without a box."""
        if not self.not_found:
            return ""
        return f"; {self.not_found:,} {'is' if self.not_found == 1 else 'are'} taken whole"

    def _classes(self) -> str:
        rows = [f"{name} {count:,}" for name, count in self.classes.items()]
        rest = len(rows) - SHOWN_CLASSES
        return ", ".join(rows[:SHOWN_CLASSES]) + (f" and {rest} more" if rest > 0 else "")


def summary(
    crop: DetectorCrop,
    pictures: Sequence[Picture],
    found: Sequence[Sequence[Detection]],
    own: Sequence[Box | None],
) -> DetectionSummary:
    """Sum up what was found in each picture, beside the box that its source has for it."""
    boxes = [crop.box(seen, picture) for seen, picture in zip(found, pictures, strict=True)]
    shares = [
        area(box) / (picture.width * picture.height)
        for box, picture in zip(boxes, pictures, strict=True)
        if box
    ]
    chosen = [crop.chosen(seen) for seen, box in zip(found, boxes, strict=True) if box]
    classes = Counter(item.class_name for item in chosen if item)
    matched = [
        iou(box, given) if box else 0.0 for box, given in zip(boxes, own, strict=True) if given
    ]
    return DetectionSummary(
        crop=crop,
        found=len(shares),
        not_found=len(boxes) - len(shares),
        median_share=statistics.median(shares) if shares else None,
        classes=dict(classes.most_common()),
        compared=len(matched),
        mean_iou=statistics.fmean(matched) if matched else None,
    )


def area(box: Box) -> float:
    """Of a box, in square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    return common / (area(one) + area(other) - common)


def unknown_class(name: str, known: Sequence[str]) -> UsageError:
    """The error of a class that the detector does not know; lists those that it does."""
    return UsageError(
        f"The detector knows no class {name!r}.", f"--detect-classes of: {', '.join(known)}"
    )


def inside(box: Box, picture: Picture) -> Box | None:
    """A box cut to its picture; `None` where nothing is left."""
    x1 = max(0.0, box[0])
    y1 = max(0.0, box[1])
    x2 = min(float(picture.width), box[2])
    y2 = min(float(picture.height), box[3])
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _widened(box: Box, margin: float, picture: Picture) -> Box | None:
    across = margin * (box[2] - box[0])
    down = margin * (box[3] - box[1])
    x1 = float(math.floor(box[0] - across))
    y1 = float(math.floor(box[1] - down))
    return inside((x1, y1, math.ceil(box[2] + across), math.ceil(box[3] + down)), picture)
