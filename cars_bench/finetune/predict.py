"""`predict`: the five likeliest classes of images, or of all in a folder, as a CSV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cars_bench.data.detection import DetectorFiles, Picture
from cars_bench.data.folder_labels import is_image_name
from cars_bench.data.images import Box, ImageUnusable, load_image, upright_size
from cars_bench.data.problems import scan_images
from cars_bench.detectors.choose import reopened
from cars_bench.errors import InputError, UsageError
from cars_bench.evaluation.calibration import Temperature
from cars_bench.evaluation.predictions import Prediction, predictions, write_predictions
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.grad_cam import draw_overlays, overlay_path
from cars_bench.progress import Progress
from cars_bench.training.answers import Answers
from cars_bench.workspace import Workspace

BATCH = 32
UNCHANGED = Temperature(value=1.0, images=0, before={}, after={})
SHOWN = 10
"""Images whose answers are told at once; more than these are for the CSV."""
BOXES_LACK = (
    "The model was trained on images cut to their boxes, and these are taken whole: "
    "cut them to the object first, or expect worse answers."
)


@dataclass(frozen=True)
class PredictOptions:
    """How images are predicted.

    Attributes:
        output: The CSV to write.
        model: `STUDY/RUN`; `None` is the last one made.
        heatmaps: Folder for one Grad-CAM overlay an image; `None` writes none.
        calibrated: Divide the logits by the model's temperature: the probabilities change,
            the order of the answers does not.
        detector: Where the files are of the detector that cut the model's images; what is not
            named is where it was.
    """

    output: Path
    model: str | None = None
    heatmaps: Path | None = None
    calibrated: bool = False
    detector: DetectorFiles = field(default_factory=DetectorFiles)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What a prediction came to.

    Attributes:
        path: The CSV.
        images: Images predicted.
        unreadable: Files that could not be read, with the reason.
        heatmaps: Heatmaps written.
        warnings: Sentences about what makes the answers worth less.
        first: The answers to the first images.
        temperature: What the logits were divided by; 1 leaves them as they are.
        whole: Those that were taken whole, since a detector found nothing in them; `None`
            without a detector.
    """

    path: Path
    images: int
    unreadable: dict[str, str]
    heatmaps: int = 0
    warnings: tuple[str, ...] = ()
    first: tuple[Prediction, ...] = ()
    temperature: float = 1.0
    whole: tuple[str, ...] | None = None

    @property
    def found(self) -> int | None:
        """How many of the images a detector cut to a box; `None` without a detector."""
        return None if self.whole is None else self.images - len(self.whole)


def predict(
    workspace: Workspace, paths: Sequence[Path], options: PredictOptions, progress: Progress
) -> Predicted:
    r"""Write the five likeliest classes of each image, in bounded memory.

    A file that cannot be read is left out and told with its reason.  Images are
    named from the deepest folder that holds all of `paths`.  The CSV is UTF-8: a byte
    of a file's name that is not stands there as `\xNN`.

    Args:
        workspace: Holds the model.
        paths: Images, and folders that are searched with their subfolders.
        options: With which model, and what to write.
        progress: Told what goes on.

    Raises:
        InputError: A path is missing, or a folder holds no image.
        UsageError: What is written would replace an image, or calibrated answers are asked
            of a model that has no temperature.
    """
    files = _image_files(paths)
    folder = _common_folder(paths)
    _require_apart(options, folder, files)
    finished = FinishedModel.open(workspace, options.model)
    temperature = finished.temperature if options.calibrated else UNCHANGED
    warnings = (BOXES_LACK,) if finished.crop == "boxes" else ()
    unreadable: dict[str, str] = {}
    boxes = _boxes(workspace, finished, options.detector, files, progress)
    images = {path: boxes.get(path) for path in files}
    rows = _predictions(finished, temperature, folder, images, unreadable, progress)
    first: list[Prediction] = []
    write_predictions(options.output, _noting(rows, first), finished.record.head.box)
    readable = [path for path in files if _printable(folder, path) not in unreadable]
    whole = tuple(_printable(folder, path) for path in readable if path not in boxes)
    drawn = 0
    if options.heatmaps is not None:
        progress.log(f"Drawing {len(readable):,} heatmaps")
        named = {path.relative_to(folder).as_posix(): path for path in readable}
        drawn = len(draw_overlays(options.heatmaps, finished.assembled(), named, boxes))
    return Predicted(
        path=options.output,
        images=len(readable),
        unreadable=unreadable,
        heatmaps=drawn,
        warnings=warnings,
        first=tuple(first),
        temperature=temperature.value,
        whole=whole if finished.detection else None,
    )


def _boxes(
    workspace: Workspace,
    finished: FinishedModel,
    files: DetectorFiles,
    paths: list[Path],
    progress: Progress,
) -> dict[Path, Box]:
    """The box of each image in which the model's detector, if it has one, finds any."""
    if finished.detection is None:
        return {}
    finder = reopened(workspace, finished.detection, files)
    pictures = [
        Picture(path=path, sha256=item.sha256, width=item.width, height=item.height)
        for path, item in zip(paths, scan_images(paths, progress), strict=True)
        if not item.problem
    ]
    seen = zip(pictures, finder.find(pictures, progress), strict=True)
    chosen = {picture.path: finder.crop.box(found, picture) for picture, found in seen}
    return {path: box for path, box in chosen.items() if box}


def _require_apart(options: PredictOptions, folder: Path, files: Sequence[Path]) -> None:
    """Refuse to write over what is read."""
    written = {_absolute(options.output)}
    if options.heatmaps is not None:
        heatmaps = _absolute(options.heatmaps)
        written |= {overlay_path(heatmaps, path.relative_to(folder).as_posix()) for path in files}
    if lost := sorted(written.intersection(files)):
        raise UsageError(
            f"{lost[0]} is an image to predict, and would be overwritten.",
            "choose another --output or --heatmaps",
        )


def _noting(rows: Iterator[Prediction], first: list[Prediction]) -> Iterator[Prediction]:
    """The rows, of which the first are kept in `first` as they pass."""
    for row in rows:
        if len(first) < SHOWN:
            first.append(row)
        yield row


def _printable(folder: Path, path: Path) -> str:
    r"""A file's name below `folder`, its bytes that are not UTF-8 written as `\xNN`."""
    return os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")


def _image_files(paths: Sequence[Path]) -> list[Path]:
    """The images in the order given, those of a folder sorted; each once."""
    found: dict[Path, None] = {}
    for path in paths:
        whole = _absolute(path)
        found.update(dict.fromkeys(_in_folder(whole) if whole.is_dir() else [_one(whole)]))
    return list(found)


def _one(path: Path) -> Path:
    """A file that was named is an image whatever it is called: if not, reading it says so."""
    if not path.exists():
        raise InputError(f"There is no {path}.", "cars-bench predict IMAGE, or a folder of images")
    return path


def _in_folder(folder: Path) -> list[Path]:
    # os.walk tells folders from files without a stat, so dangling links are files here too.
    below = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    found = sorted(path for path in below if is_image_name(path.name))
    if not found:
        raise InputError(f"{folder} holds no image.", "name a folder with .jpg or .png files")
    return found


def _absolute(path: Path) -> Path:
    """Links stay what they are called."""
    return Path(os.path.normpath(path.expanduser().absolute()))


def _common_folder(paths: Sequence[Path]) -> Path:
    whole = [_absolute(path) for path in paths]
    return Path(os.path.commonpath([path if path.is_dir() else path.parent for path in whole]))


def _predictions(
    finished: FinishedModel,
    temperature: Temperature,
    folder: Path,
    images: dict[Path, Box | None],
    unreadable: dict[str, str],
    progress: Progress,
) -> Iterator[Prediction]:
    """Predict batch by batch, collecting what cannot be read in `unreadable`."""
    network = finished.load()
    files = list(images)
    with progress.stage("Predicting", len(files), "images") as task:
        for start in range(0, len(files), BATCH):
            names: list[str] = []
            sizes: list[tuple[int, int]] = []
            pixels = np.zeros((BATCH, *network.input_shape[1:]), np.float32)
            for path in files[start : start + BATCH]:
                name = _printable(folder, path)
                try:
                    pixels[len(names)] = load_image(path, finished.image_size, images[path])
                    sizes.append(upright_size(path))
                    names.append(name)
                except ImageUnusable as error:
                    unreadable[name] = str(error)
                except OSError as error:
                    unreadable[name] = f"it cannot be read: {error.strerror}"
                task.advance()
            # The batch is always full, so that the network is compiled once.
            outputs = np.asarray(network.predict_on_batch(pixels))[: len(names)]
            said = Answers.of(outputs, len(finished.class_names))
            sides = np.tile(np.reshape(sizes, (-1, 2)), 2)  # no row where no image could be read
            boxes = None if said.boxes is None else said.boxes * sides
            logits = temperature.applied(said.logits)
            yield from predictions(names, logits, finished.class_names, boxes=boxes)
