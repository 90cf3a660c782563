"""`prepare` with whoever finds the boxes: the one way in which flags become a boxed dataset."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cars_bench.data.dataset import Dataset
from cars_bench.data.detection import DetectorFiles
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.detectors.choose import SOURCE, asked_boxes, finder_for
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class BoxesAsked:
    """Who finds the boxes, and which of them are taken, as the flags of `prepare` say it.

    Attributes:
        boxes: `source`, or `detector[:NAME]` with pictures that stay whole.
        classes: Those that are taken, with commas between; `None` takes all.
        threshold: Least score of a box that is taken; `None` is the default.
        margin: Share of the box that is added on each side; `None` is 0.
        files: What the detector needs beside its name.
    """

    boxes: str = SOURCE
    classes: str | None = None
    threshold: float | None = None
    margin: float | None = None
    files: DetectorFiles = field(default_factory=DetectorFiles)


def prepare_boxed(
    workspace: Workspace, options: PrepareOptions, asked: BoxesAsked, progress: Progress
) -> Dataset:
    """Prepare with the boxes of the source or of a detector; its card says which.

    Args:
        workspace: Where all of it is.
        options: As `prepare` takes them, but `crop` may be `detector[:NAME]`.
        asked: Who finds the boxes.
        progress: Told about each image.

    Raises:
        DetectorMissing: The detector is not installed.
        UsageError, InputError: As `asked_boxes`, `finder_for` and `prepare`.
    """
    found_by, whole = asked_boxes(options.crop, asked.boxes)
    finder = finder_for(
        workspace,
        found_by,
        asked.files,
        classes=asked.classes,
        threshold=asked.threshold,
        margin=asked.margin,
    )
    options = replace(options, crop="none" if finder else options.crop, whole=whole)
    return prepare(workspace, options, progress, finder)
