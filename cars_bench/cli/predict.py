"""`cars-bench predict`: the likeliest classes of new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command


@command(
    app,
    "predict",
    "cars-bench predict photos/",
    "cars-bench predict photos/ --output answers.csv --model my-study/t0007-conv5",
    "cars-bench predict photos/ --heatmaps looked-at/",
)
def predict(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="Folder of images, searched with its subfolders.")],
    output: Annotated[Path, typer.Option(help="The CSV to write.")] = Path("predictions.csv"),
    model: Annotated[
        str | None, typer.Option(help="STUDY/RUN [default: the last one].", show_default=False)
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            help="Folder for Grad-CAM pictures of where the model looked.", show_default=False
        ),
    ] = None,
) -> Document:
    """Write the five likeliest classes of every image in a folder as a CSV.

    Files that cannot be read are named with the reason and left out.
    """
    session.choose_backend("tensorflow")
    from cars_bench.finetune.predict import predict as run

    result = run(session.workspace, folder, model, output, session.progress, heatmaps)
    session.say(f"{result.images:,} images predicted: {result.path}")
    if heatmaps is not None:
        session.say(f"{result.heatmaps:,} heatmaps: {heatmaps}")
    for warning in result.warnings:
        session.say(f"warning: {warning}")
    for name, reason in result.unreadable.items():
        session.say(f"unreadable: {name}: {reason}")
    return {
        "output": str(result.path),
        "images": result.images,
        "unreadable": result.unreadable,
        "heatmaps": result.heatmaps,
        "warnings": list(result.warnings),
    }
