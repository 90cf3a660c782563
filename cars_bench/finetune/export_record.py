"""The record beside an exported model: what the file is, and what was measured of it.

Keras is not imported here, so that whoever shows exports need not load it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cars_bench.documents import read_record, write_record
from cars_bench.errors import ModelMissing
from cars_bench.evaluation.metrics import SplitScore
from cars_bench.finetune.formats import FormatName, Quantization
from cars_bench.finetune.runs import Run
from cars_bench.workspace import sha256_file

EXPORTS = "exports"
EXPORT = "cars-bench export --format onnx"


@dataclass(frozen=True)
class ExportAgreement:
    """The file's answers beside the Keras model's, on the validation images.

    Attributes:
        images: How many were compared.
        top1_agreement: Share with the same first answer.
        max_abs_diff: Largest difference of two probabilities.
        boxes_iou: Mean IoU of the two boxes of an image; `None` where none is told.
    """

    images: int
    top1_agreement: float
    max_abs_diff: float
    boxes_iou: float | None = None


@dataclass(frozen=True)
class Latency:
    """How long one image takes, one at a time, decoding not counted.

    Attributes:
        median_milliseconds: Of all calls.
        calls: How many were timed.
        threads: That the runtime was given.
        processor: That they ran on.
    """

    median_milliseconds: float
    calls: int
    threads: int
    processor: str


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """What `NAME.json` beside an exported model says.

    Attributes:
        model: `STUDY/RUN`.
        format: Its name in the table of formats.
        quantize: `int8`, or `None` for floats.
        created: When, ISO 8601, UTC.
        file: Name of the file or folder.
        bytes: Its size.
        sha256: Digest of the file; of a folder, that of its files' names and digests.
        image_size: Side of the pixels it takes, RGB, 0 to 255.
        crop: What the model's images were cut to: `none`, `boxes` or `detector`.
        class_names: Of the probabilities it gives, in their order.
        calibration_images: Training images that the scales of 8 bits were set by; 0 for floats.
        agreement: With the Keras model.
        accuracy: On the validation images; `None` where the model was trained on them.
        keras_accuracy: The Keras model's on the same images; likewise.
        latency: How long one image takes.
        versions: Of what wrote and ran it.
        temperature: What its logits are divided by; 1 where it is not calibrated.
    """

    model: str
    format: FormatName
    quantize: Quantization | None
    created: str
    file: str
    bytes: int
    sha256: str
    image_size: int
    crop: str
    class_names: tuple[str, ...]
    calibration_images: int
    agreement: ExportAgreement
    accuracy: SplitScore | None
    keras_accuracy: SplitScore | None
    latency: Latency
    versions: dict[str, str]
    temperature: float = 1.0


def record_path(exported: Path) -> Path:
    """Where the record of an exported file lies."""
    return exported.with_name(f"{exported.name}.json")


def write_export(exported: Path, record: ExportRecord) -> None:
    """Write the record beside the file."""
    write_record(record_path(exported), record)


def read_export(exported: Path) -> ExportRecord:
    """Read the record beside an exported file.

    Raises:
        ModelMissing: There is none.
        RecordDamaged: It is not what was written.
    """
    path = record_path(exported)
    missing = ModelMissing(f"There is no {path}.", EXPORT)
    return read_record(path, ExportRecord, missing, f"delete {path} and export again")


def exports(run: Run) -> tuple[ExportRecord, ...]:
    """What was exported of a run into its own folder, by name.

    Raises:
        RecordDamaged: A record is not what was written.
    """
    paths = sorted((run.folder / EXPORTS).glob("*.json"))
    return tuple(read_export(path.with_suffix("")) for path in paths)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(item.stat().st_size for item in _files(path))


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and digests of a folder's files."""
    if path.is_file():
        return sha256_file(path)
    lines = (f"{item.relative_to(path).as_posix()} {sha256_file(item)}\n" for item in _files(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
