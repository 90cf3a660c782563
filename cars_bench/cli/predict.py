"""`cars-bench predict`: the likeliest classes of new images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.progress import plural

if TYPE_CHECKING:
    from cars_bench.evaluation.predictions import Prediction

LEAST_TOLD = 0.01
"""Probability below which an answer is left to the CSV."""
MOST_NAMED = 10
"""Images taken whole that are named in words."""


@command(
    app,
    "predict",
    "cars-bench predict photos/",
    "cars-bench predict photo.jpg another.jpg",
    "cars-bench predict photos/ --output answers.csv --model my-study/t0007-conv5",
    "cars-bench predict photos/ --heatmaps looked-at/",
    "cars-bench predict photos/ --calibrated         # probabilities as they come true",
)
def predict(
    session: Session,
    paths: Annotated[
        list[Path], typer.Argument(help="Images, or folders searched with their subfolders.")
    ],
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
    calibrated: Annotated[
        bool,
        typer.Option("--calibrated", help="Divide by the temperature fitted on validation."),
    ] = False,
    detector_weights: Annotated[
        Path | None,
        typer.Option(help="Where the detector's weights are here.", show_default=False),
    ] = None,
    detector_python: Annotated[
        Path | None, typer.Option(help="Python that has detectron2 here.", show_default=False)
    ] = None,
    detector_names: Annotated[
        Path | None,
        typer.Option(help="Where the ONNX detector's names are here.", show_default=False),
    ] = None,
) -> Document:
    """Write the five likeliest classes of images as a CSV.

    Of up to ten images they are also shown.  Files that cannot be read are named with
    the reason and left out.
    """
    session.choose_backend("tensorflow")
    from cars_bench.detectors.choose import detector_files
    from cars_bench.finetune.predict import PredictOptions
    from cars_bench.finetune.predict import predict as run

    options = PredictOptions(
        output=output,
        model=model,
        heatmaps=heatmaps,
        calibrated=calibrated,
        detector=detector_files(detector_weights, detector_python, detector_names),
    )
    result = run(session.workspace, paths, options, session.progress)
    if result.images == len(result.first):
        for row in result.first:
            session.say(_answers(row))
    session.say(f"written: {result.path} ({plural(result.images, 'image')})")
    if heatmaps is not None:
        session.say(f"heatmaps: {heatmaps} ({plural(result.heatmaps, 'image')})")
    if result.found is not None:
        of = f"{result.found:,} of {plural(result.images, 'image')}"
        session.say(f"cut to a box: {of}")
    if result.whole:
        session.say(f"taken whole, nothing was found in it: {_first(result.whole)}")
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
        "temperature": result.temperature,
        "found": result.found,
        "whole": None if result.whole is None else list(result.whole),
    }


def _first(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - MOST_NAMED
    rest = f" and {more:,} more (--json names all)" if more > 0 else ""
    return ", ".join(names[:MOST_NAMED]) + rest


def _answers(row: Prediction) -> str:
    """`photo.jpg: robin 93.1%, wren 4.0%`, as many as are worth a word."""
    pairs = list(zip(row.answers, row.probabilities, strict=True))
    told = [pair for pair in pairs if pair[1] >= LEAST_TOLD] or pairs[:1]
    return f"{row.image_id}: " + ", ".join(f"{name} {chance:.1%}" for name, chance in told)
