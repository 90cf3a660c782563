"""`cars-bench export`: the fine-tuned model in another format, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.progress import accuracy, size

if TYPE_CHECKING:
    from cars_bench.evaluation.metrics import SplitScore
    from cars_bench.finetune.export_record import ExportRecord


@command(
    app,
    "export",
    "cars-bench export --format onnx",
    "cars-bench export --format tflite --quantize int8 --output phone.tflite",
    "cars-bench export --format saved_model --model my-study/t0007-conv5",
    "cars-bench export --format onnx --calibrated     # with its temperature inside",
)
def export(
    session: Session,
    format: Annotated[
        Literal["keras", "saved_model", "onnx", "tflite"],
        typer.Option("--format", help="Of the file."),
    ],
    quantize: Annotated[
        Literal["int8"] | None,
        typer.Option(help="8 bits (onnx, tflite), scaled on training images."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="STUDY/RUN [default: the last one].", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The file to write [default: in the run's folder, under exports/].",
            show_default=False,
        ),
    ] = None,
    calibrated: Annotated[
        bool,
        typer.Option("--calibrated", help="Put the temperature fitted on validation inside."),
    ] = False,
) -> Document:
    """Write the fine-tuned model for other programs, and measure it.

    Pixels 0 to 255 go in and probabilities come out, in every format. Its agreement with the
    Keras model, its accuracy on the validation images and its speed are told, and kept beside
    it as NAME.json.
    """
    from cars_bench.finetune.formats import FORMATS

    # What is missing shows before anything heavy is loaded.
    FORMATS[format].require(quantize)
    session.choose_backend("tensorflow")
    from cars_bench.documents import to_json
    from cars_bench.finetune.export import ExportOptions
    from cars_bench.finetune.export import export as run
    from cars_bench.finetune.export_record import record_path

    options = ExportOptions(
        format=format, quantize=quantize, model=model, output=output, calibrated=calibrated
    )
    exported = run(session.workspace, options, session.progress)
    for line in _lines(exported.record):
        session.say(line)
    beside = record_path(exported.path)
    session.say(f"written: {exported.path}\nmeasured: {beside}")
    return {"path": str(exported.path), "record": str(beside)} | to_json(exported.record)


def _lines(record: ExportRecord) -> list[str]:
    from cars_bench.finetune.formats import FORMATS

    kind = FORMATS[record.format].title
    what = f"{kind}, 8 bits" if record.quantize else kind
    found = record.agreement
    speed = record.latency
    cooled = record.temperature != 1
    return [
        f"{what}: {size(record.bytes)}, pixels of {record.image_size} x "
        f"{record.image_size} in, probabilities of {len(record.class_names)} classes out"
        + (f", calibrated by a temperature of {record.temperature:.3g}" if cooled else ""),
        f"Agrees with the Keras model on {found.top1_agreement:.1%} of {found.images:,} "
        f"validation images; probabilities differ by at most {found.max_abs_diff:.4f}",
        *_accuracies(record.accuracy, record.keras_accuracy),
        f"{speed.median_milliseconds:,.1f} ms an image (median of {speed.calls}, one at a time, "
        f"{speed.threads} threads of {speed.processor})",
        *_cut_first(record.crop),
    ]


def _cut_first(crop: str) -> list[str]:
    """What a program has to do before it asks the exported model."""
    if crop == "none":
        return []
    whose = "by a detector" if crop == "detector" else "to their boxes"
    return [
        f"warning: the model was trained on images cut {whose}, and an export takes them as they "
        "are: cut yours alike first, or expect worse answers (the model card says how)"
    ]


def _accuracies(exported: SplitScore | None, whole: SplitScore | None) -> list[str]:
    if exported is None or whole is None:
        return [
            "Accuracy is not told: the model was trained on the validation images too "
            "(--refit train+val)"
        ]
    told, own = (
        accuracy(item.top1.value, item.top1.low, item.top1.high) for item in (exported, whole)
    )
    return [f"Top-1 on validation {told}; of the Keras model {own}"]
