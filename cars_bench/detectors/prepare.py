"""`prepare` with whoever finds the boxes: the one way in which flags become a boxed dataset."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from cars_bench.data.dataset import Dataset
from cars_bench.data.detection import DetectorFiles
from cars_bench.data.prepare import PrepareOptions, check_options, prepare
from cars_bench.detectors.choose import SOURCE, asked_boxes, finder_for, rule_for
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

    @property
    def rule(self) -> dict[str, Any]:
        """How a detector's boxes are chosen, as `finder_for` and `rule_for` take it."""
        return {"classes": self.classes, "threshold": self.threshold, "margin": self.margin}


def check_boxed(options: PrepareOptions, asked: BoxesAsked) -> None:
    """Refuse what cannot be asked, without opening a detector or reading the source.

    Args:
        options: As for `prepare_boxed`.
        asked: Likewise.

    Raises:
        UsageError: As `asked_boxes`, `rule_for` and `check_options`.
    """
    found_by, _ = asked_boxes(options.crop, asked.boxes)
    found = rule_for(found_by, asked.files, **asked.rule)
    check_options(replace(options, crop="none" if found else options.crop))


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
    finder = finder_for(workspace, found_by, asked.files, **asked.rule)
    options = replace(options, crop="none" if finder else options.crop, whole=whole)
    return prepare(workspace, options, progress, finder)
