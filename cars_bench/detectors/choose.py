"""`--crop detector[:NAME]`, `--boxes detector[:NAME]`: which detector, opened and ready."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from cars_bench.data.detection import DEFAULT_THRESHOLD, DetectorCrop, DetectorFiles, unknown_class
from cars_bench.detectors import detectron2, onnx_file, ssd
from cars_bench.detectors.detector import Detector
from cars_bench.detectors.finder import Finder
from cars_bench.errors import InputError, UsageError
from cars_bench.workspace import Workspace

PREFIX = "detector"
"""What the value of `--crop` or `--boxes` begins with."""
SOURCE = "source"
"""The value of `--boxes` that takes those of the labels."""
TAKES = {
    ssd.NAME: set[str](),
    onnx_file.PREFIX.rstrip(":"): {"weights", "names"},
    detectron2.PREFIX.rstrip(":"): {"weights", "python"},
}
"""Which files each kind of detector reads, as `DetectorFiles` has them."""


def open_detector(name: str, files: DetectorFiles) -> Detector:
    """Open the detector called `name`.

    Args:
        name: `ssd-mobilenet-v2`, `onnx:FILE` or `detectron2:CONFIG`.
        files: What it needs beside.

    Raises:
        UsageError: There is none of that name, or it does not read one of the files.
        DetectorMissing: It is not installed.
        InputError: Its files cannot be used.
    """
    _refuse_unknown(name, files)
    if name == ssd.NAME:
        return ssd.SsdMobileNetV2()
    if name.startswith(onnx_file.PREFIX):
        path = Path(files.weights or name.removeprefix(onnx_file.PREFIX))
        return onnx_file.OnnxDetector(path, Path(files.names) if files.names else None)
    config = name.removeprefix(detectron2.PREFIX)
    weights = Path(files.weights) if files.weights else None
    python = Path(files.python) if files.python else None
    return detectron2.Detectron2(config, weights, python)


def _refuse_unknown(name: str, files: DetectorFiles) -> None:
    """Refuse a detector that there is not, and a file that this kind would not read."""
    kind, _, rest = name.partition(":")
    if kind not in TAKES or bool(rest) == (kind == ssd.NAME):
        raise UsageError(
            f"There is no detector {name!r}.",
            f"--crop detector:{ssd.NAME}, detector:onnx:FILE or detector:detectron2:CONFIG",
        )
    given = {key for key, value in vars(files).items() if value is not None}
    needless = given - TAKES[kind]
    if needless:
        named = " and ".join(f"--detector-{key}" for key in sorted(needless))
        raise UsageError(f"The detector {name} takes no {named}.", "leave it out")


def asked_boxes(crop: str, boxes: str) -> tuple[str, bool]:
    """What `--crop` and `--boxes` ask for together.

    Returns:
        Who finds the boxes, as `finder_for` takes it, and whether pictures stay whole.

    Raises:
        UsageError: `boxes` names nothing known, or pictures are to be cut as well.
    """
    if boxes == SOURCE:
        return crop, crop == "none"
    if not _names_detector(boxes):
        raise UsageError(f"--boxes {boxes} is unknown.", f"--boxes {SOURCE}|{PREFIX}[:NAME]")
    if crop != "none":
        raise UsageError(
            f"--boxes {boxes} leaves pictures whole, and --crop {crop} cuts them.",
            f"--boxes {boxes} alone, or --crop {boxes} alone",
        )
    return boxes, True


def _names_detector(text: str) -> bool:
    return text == PREFIX or text.startswith(f"{PREFIX}:")


def finder_for(
    workspace: Workspace,
    crop: str,
    files: DetectorFiles,
    *,
    classes: str | None = None,
    threshold: float | None = None,
    margin: float | None = None,
) -> Finder | None:
    """The finder that `detector[:NAME]` and the options beside it ask for.

    Args:
        workspace: Whose `cache/boxes/` keeps what is seen.
        crop: The value of `--crop` or `--boxes`.
        files: What the detector needs beside its name.
        classes: The classes that are taken, with commas between; `None` takes all.
        threshold: Least score of a box that is taken; `None` is 0.3.
        margin: Share of the box that is added on each side; `None` is 0.

    Returns:
        `None` where `crop` asks for no detector.

    Raises:
        UsageError: An unknown detector or class, a number out of range, or options of a
            detector without one.
        DetectorMissing: The detector is not installed.
        InputError: Its files cannot be used.
    """
    rule = rule_for(crop, files, classes=classes, threshold=threshold, margin=margin)
    if rule is None:
        return None
    detector = open_detector(rule.detector, files)
    for wanted in rule.classes:
        if wanted not in detector.class_names:
            raise unknown_class(wanted, detector.class_names)
    return Finder(workspace, detector, replace(rule, digest=detector.digest))


def rule_for(
    crop: str,
    files: DetectorFiles,
    *,
    classes: str | None = None,
    threshold: float | None = None,
    margin: float | None = None,
) -> DetectorCrop | None:
    """How `detector[:NAME]` and the options beside it choose boxes, before it is opened.

    Args:
        crop: As for `finder_for`, like all others.
        files: Likewise.
        classes: Likewise.
        threshold: Likewise.
        margin: Likewise.

    Raises:
        UsageError: An unknown detector, a number out of range, or options of a detector
            without one.
    """
    given = any(item is not None for item in (classes, threshold, margin))
    if not _names_detector(crop):
        if given or files != DetectorFiles():
            raise UsageError("Options of a detector were given without one.", "--crop detector")
        return None
    name = _whole(crop.removeprefix(PREFIX).removeprefix(":") or ssd.NAME)
    named = tuple(part.strip() for part in (classes or "").split(",") if part.strip())
    _refuse_unknown(name, files)
    return DetectorCrop(
        detector=name,
        digest="",
        classes=named,
        threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
        margin=margin or 0.0,
        files=files,
    )


def _whole(name: str) -> str:
    """A name with the whole path of the file in it, so that it is found from anywhere."""
    path = name.removeprefix(onnx_file.PREFIX)
    return name if path == name else f"{onnx_file.PREFIX}{Path(path).expanduser().resolve()}"


def detector_files(
    weights: Path | None = None, python: Path | None = None, names: Path | None = None
) -> DetectorFiles:
    """The files of a detector by their whole paths, so that they are found from anywhere."""
    found = shutil.which(python) if python else None
    given = {"weights": weights, "python": Path(found) if found else python, "names": names}
    # Not resolved: the link in a virtual environment is the interpreter that has its packages.
    return DetectorFiles(
        **{key: str(path.expanduser().absolute()) for key, path in given.items() if path}
    )


def reopened(workspace: Workspace, crop: DetectorCrop, files: DetectorFiles) -> Finder:
    """The finder that cut a model's images, to cut new ones alike.

    Args:
        workspace: Whose `cache/boxes/` keeps what is seen.
        crop: How it was done.
        files: Where the detector's files are here; what is not named is where it was.

    Raises:
        InputError: The detector is not installed, or is not the same one.
    """
    here = {name: value for name, value in vars(files).items() if value is not None}
    detector = open_detector(crop.detector, replace(crop.files, **here))
    if detector.digest != crop.digest:
        raise InputError(
            f"The detector {crop.detector} here is not the one that cut the model's images.",
            "install that version, or name its files: --detector-weights, --detector-names",
        )
    return Finder(workspace, detector, crop)
