"""`--crop detector[:NAME]`: which detector, opened and ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cars_bench.data.detection import DetectorCrop, unknown_class
from cars_bench.detectors import detectron2, ssd
from cars_bench.detectors.detector import Detector
from cars_bench.detectors.finder import Finder
from cars_bench.errors import UsageError
from cars_bench.workspace import Workspace

PREFIX = "detector"
"""What the value of `--crop` begins with."""


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """What a detector needs beside its name; which of it depends on the kind.

    Attributes:
        weights: The network's weights, where the name does not tell them.
        python: The interpreter that has detectron2.
        names: Text file with the names of the classes, a line each.
    """

    weights: Path | None = None
    python: Path | None = None
    names: Path | None = None


def is_detector(crop: str) -> bool:
    """Whether `--crop CROP` asks for a detector."""
    return crop == PREFIX or crop.startswith(f"{PREFIX}:")


def open_detector(name: str, options: DetectorOptions) -> Detector:
    """Open the detector called `name`.

    Args:
        name: `ssd-mobilenet-v2`, `onnx:FILE` or `detectron2:CONFIG`.
        options: What it needs beside.

    Raises:
        UsageError: There is none of that name.
        DetectorMissing: It is not installed.
        InputError: Its files cannot be used.
    """
    if name == ssd.NAME:
        return ssd.SsdMobileNetV2()
    if name.startswith(detectron2.PREFIX):
        config = name.removeprefix(detectron2.PREFIX)
        return detectron2.Detectron2(config, options.weights, options.python)
    raise UsageError(
        f"There is no detector {name!r}.",
        f"--crop detector:{ssd.NAME}, detector:onnx:FILE or detector:detectron2:CONFIG",
    )


def open_finder(
    workspace: Workspace,
    crop: str,
    options: DetectorOptions,
    *,
    classes: tuple[str, ...],
    threshold: float,
    margin: float,
) -> Finder:
    """The finder that `--crop detector[:NAME]` and the options beside it ask for.

    Raises:
        UsageError: An unknown detector or class, or a number out of range.
        DetectorMissing: The detector is not installed.
        InputError: Its files cannot be used.
    """
    name = crop.removeprefix(PREFIX).removeprefix(":") or ssd.NAME
    detector = open_detector(name, options)
    for wanted in classes:
        if wanted not in detector.class_names:
            raise unknown_class(wanted, detector.class_names)
    rule = DetectorCrop(
        detector=name,
        digest=detector.digest,
        classes=classes,
        threshold=threshold,
        margin=margin,
    )
    return Finder(workspace, detector, rule)
