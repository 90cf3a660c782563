"""`export`: a finished model in another format, and what was measured of the file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from cars_bench.data.dataset import Dataset, evenly
from cars_bench.data.pixels import LiveImages
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.evaluation.boxes import ious
from cars_bench.evaluation.metrics import SplitScore, score
from cars_bench.finetune.export_record import (
    EXPORTS,
    ExportAgreement,
    ExportRecord,
    Latency,
    digest_of,
    size_of,
    write_export,
)
from cars_bench.finetune.finished import FinishedModel
from cars_bench.finetune.formats import (
    FORMATS,
    Answer,
    Exportable,
    Floats,
    Format,
    FormatName,
    Quantization,
)
from cars_bench.finetune.speed import processor
from cars_bench.progress import Progress, Task, chatter_withheld
from cars_bench.training.answers import BOX, PROBABILITIES, named_outputs
from cars_bench.tuning.study import Study, now, package_versions
from cars_bench.tuning.worker_pool import cores
from cars_bench.workspace import Workspace

CALIBRATION_IMAGES = 200
BATCH = 64
WARM_UP_CALLS = 5
TIMED_CALLS = 200
TIMED_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What `export` was asked for.

    Attributes:
        format: A name in the table of formats.
        quantize: `int8`, or `None` for floats.
        model: `STUDY/RUN`; `None` is the last one made.
        output: The file, or a folder for it; `None` is the run's own folder for exports.
        calibrated: With the model's temperature inside.
    """

    format: FormatName
    quantize: Quantization | None = None
    model: str | None = None
    output: Path | None = None
    calibrated: bool = False


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: The file, or the SavedModel's folder.
        record: What it is, and what was measured of it.
    """

    path: Path
    record: ExportRecord


def export(workspace: Workspace, options: ExportOptions, progress: Progress) -> Exported:
    """Write a finished model in a format, open what was written and measure it.

    Args:
        workspace: Holds the model, and the dataset that it was trained on.
        options: What is asked for.
        progress: Told what goes on.

    Raises:
        UsageError: The format has no 8 bits, the file's name does not fit it, or Keras
            does not run on TensorFlow; or the model has no temperature to be calibrated by.
        InputError: A package is missing, or an image is.
        CacheStale: The dataset changed since.
        CarsBenchError: The format cannot hold this model.
    """
    kind = FORMATS[options.format]
    kind.require(options.quantize)
    if keras.backend.backend() != "tensorflow":
        raise UsageError("Models are exported from TensorFlow.", "KERAS_BACKEND=tensorflow")
    finished = FinishedModel.open(workspace, options.model)
    temperature = finished.temperature.value if options.calibrated else 1.0
    path = _target(finished, kind, options)
    dataset = Dataset.load(workspace, finished.record.dataset.name)
    Study.open(workspace, finished.record.study).require_dataset(dataset)
    progress.log(f"Opening {finished.folder.name}")
    model = finished.assembled().finished(temperature)
    source = Exportable(model, finished.class_names, finished.image_size)
    images = _calibration(dataset, source.image_size) if options.quantize else None
    what = f"{kind.title} in 8 bits" if options.quantize else kind.title
    progress.log(f"Writing {what} to {path}")
    answer = _written(kind, source, path, images)
    found = _measured(answer, source, dataset, progress)
    exported = Exported(path, _record(finished, options, path, images, found))
    write_export(path, exported.record)
    return exported


def _record(
    finished: FinishedModel,
    options: ExportOptions,
    path: Path,
    images: Floats | None,
    found: _Found,
) -> ExportRecord:
    trained_on = finished.record.refit  # then accuracy on the validation images says nothing
    packages = FORMATS[options.format].packages
    return ExportRecord(
        model=f"{finished.record.study}/{finished.folder.name}",
        format=options.format,
        quantize=options.quantize,
        created=now(),
        file=path.name,
        bytes=size_of(path),
        sha256=digest_of(path),
        image_size=finished.image_size,
        crop=finished.crop,
        class_names=finished.record.class_names,
        temperature=finished.temperature.value if options.calibrated else 1.0,
        calibration_images=0 if images is None else len(images),
        agreement=found.agreement,
        accuracy=None if trained_on else found.accuracy,
        keras_accuracy=None if trained_on else found.keras_accuracy,
        latency=found.latency,
        versions=package_versions() | {name: _version(name) for name in packages},
    )


def _target(finished: FinishedModel, kind: Format, options: ExportOptions) -> Path:
    """The path to write.

    Raises:
        UsageError: Its name does not fit the format.
    """
    marks = ("-calibrated" if options.calibrated else "") + (
        f"-{options.quantize}" if options.quantize else ""
    )
    name = f"model{marks}{kind.suffix}" if kind.suffix else f"{options.format}{marks}"
    if options.output is None:
        return finished.folder / EXPORTS / name
    if not kind.suffix:
        return options.output
    if options.output.is_dir():
        return options.output / name
    if options.output.suffix != kind.suffix:
        raise UsageError(
            f"{options.output.name} is no name of a {kind.title} file.",
            f"--output with a name that ends in {kind.suffix}",
        )
    return options.output


def _calibration(dataset: Dataset, size: int) -> Floats:
    """Some training images, spread evenly over all of them, plain view."""
    chosen = evenly(dataset.records("train"), CALIBRATION_IMAGES)
    return _pixels(LiveImages(chosen, size), np.arange(len(chosen)))


def _pixels(images: LiveImages, numbers: npt.NDArray[Any]) -> Floats:
    """Some of the images, float32 `[B, S, S, 3]`, 0 to 255."""
    return np.asarray(images[numbers, np.zeros_like(numbers)], np.float32)


def _written(kind: Format, source: Exportable, path: Path, images: Floats | None) -> Answer:
    """Write the model and open what was written.

    Raises:
        CarsBenchError: The format cannot hold this model.
    """
    try:
        with chatter_withheld():
            kind.write(source, path, images)
            return kind.open(path, cores())
    except (CarsBenchError, OSError):
        raise
    except Exception as failure:
        reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
        raise CarsBenchError(
            f"{kind.title} cannot hold this model: {reason}.", "try another --format"
        ) from failure


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What was measured on the validation images."""

    agreement: ExportAgreement
    accuracy: SplitScore
    keras_accuracy: SplitScore
    latency: Latency


def _measured(answer: Answer, source: Exportable, dataset: Dataset, progress: Progress) -> _Found:
    """Ask the file and the model that it was made of about every validation image."""
    records = dataset.records("val")
    labels = np.array([record.label for record in records])
    images = LiveImages(records, source.image_size)
    with progress.stage("Asking both about the validation images", len(records), "images") as task:
        model = _outputs(lambda x: named_outputs(source.model.predict_on_batch(x)), images, BATCH)
        file = _outputs(answer, images, 1, task)
    reference = model[PROBABILITIES]
    said = file[PROBABILITIES]
    agreement = ExportAgreement(
        images=len(records),
        top1_agreement=float((said.argmax(1) == reference.argmax(1)).mean()),
        max_abs_diff=float(np.abs(said - reference).max()),
        boxes_iou=float(ious(model[BOX], file[BOX]).mean()) if BOX in model else None,
    )
    return _Found(
        agreement=agreement,
        accuracy=score(said, labels),
        keras_accuracy=score(reference, labels),
        latency=_latency(answer, images),
    )


def _outputs(
    answer: Answer, images: LiveImages, batch: int, task: Task | None = None
) -> dict[str, Floats]:
    """What is said of all images, so many at a time, by the output's name."""
    said = []
    for start in range(0, images.shape[0], batch):
        numbers = np.arange(start, min(start + batch, images.shape[0]))
        said.append(answer(_pixels(images, numbers)))
        if task:
            task.advance(len(numbers))
    return {name: np.concatenate([part[name] for part in said]) for name in said[0]}


def _latency(answer: Answer, images: LiveImages) -> Latency:
    """Time single images, for some seconds at most."""
    few = np.arange(min(WARM_UP_CALLS, images.shape[0]))
    pixels = [image[None] for image in _pixels(images, few)]
    for image in pixels:
        answer(image)
    seconds: list[float] = []
    while len(seconds) < TIMED_CALLS and sum(seconds) < TIMED_SECONDS:
        begun = time.perf_counter()
        answer(pixels[len(seconds) % len(pixels)])
        seconds.append(time.perf_counter() - begun)
    return Latency(
        median_milliseconds=round(1000 * float(np.median(seconds)), 3),
        calls=len(seconds),
        threads=cores(),
        processor=processor(),
    )


def _version(module: str) -> str:
    return metadata.version(module.replace("_", "-"))
