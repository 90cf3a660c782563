"""`cars-bench prepare`: labels and images -> Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command


@command(
    app,
    "prepare",
    "cars-bench prepare photos/                     # one folder a class",
    "cars-bench prepare birds.csv --columns path,label --group-column family",
    "cars-bench prepare cars/labels.csv --crop boxes",
    "cars-bench prepare photos/ --crop detector --detect-classes car,truck,bus",
    "cars-bench prepare photos/ --boxes detector     # whole pictures, to learn boxes of",
    "cars-bench prepare --labels devkit/cars_train_annos.mat --images cars_train/",
    "cars-bench prepare --demo",
)
def prepare(
    session: Session,
    source: Annotated[
        Path | None,
        typer.Argument(help="Folder with images and labels, or a label file.", show_default=False),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV or .mat file with the labels.", show_default=False)
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder that file names start from.", show_default=False)
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Percentages train/val/test such as 65/20/15, or `column` for the label file's "
            "own [default: its own if it has one, else 65/20/15].",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns of the CSV with path and class, such as path,label (and a third "
            "with the split) [default: those that the header tells].",
            show_default=False,
        ),
    ] = None,
    group_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the CSV with a property of the class, such as make: accuracy is "
            "told by it too. May be given again.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    crop: Annotated[
        str,
        typer.Option(
            help="`boxes` cuts each image to the box in the labels; `detector` to the largest "
            "that a detector finds (`detector:onnx:FILE`, `detector:detectron2:CONFIG`)."
        ),
    ] = "none",
    boxes: Annotated[
        str,
        typer.Option(
            help="Where boxes come from that pictures are not cut to, for a head with a box: "
            "`source` (the labels), or `detector[:NAME]` as for --crop."
        ),
    ] = "source",
    detect_classes: Annotated[
        str | None,
        typer.Option(
            help="Of the detector, such as car,truck,bus [default: all].", show_default=False
        ),
    ] = None,
    detect_threshold: Annotated[
        float | None,
        typer.Option(
            min=0.05,
            max=1,
            help="Least score of a box that is taken [default: 0.3].",
            show_default=False,
        ),
    ] = None,
    crop_margin: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Added on each side of the detector's box, as a share of it [default: 0].",
            show_default=False,
        ),
    ] = None,
    detector_weights: Annotated[
        Path | None,
        typer.Option(
            help="File with the weights of a detectron2 or ONNX detector.", show_default=False
        ),
    ] = None,
    detector_python: Annotated[
        Path | None, typer.Option(help="Python that has detectron2.", show_default=False)
    ] = None,
    detector_names: Annotated[
        Path | None,
        typer.Option(
            help="Text file with the classes of an ONNX detector, a line each.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the dataset [default: the source's].", show_default=False),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on without missing images.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Draw the demo images and take those.")
    ] = False,
) -> Document:
    """Read labels and images in any known layout, and split them.

    Folders: one a class, or train/, valid/ and test/ with one a class in each.  Label
    files: a CSV with a path and a class in each row, or the .mat files of Stanford Cars.
    """
    from cars_bench.data.box_sheet import write_sheet
    from cars_bench.data.card import card_lines
    from cars_bench.data.prepare import PrepareOptions
    from cars_bench.detectors.choose import detector_files
    from cars_bench.detectors.prepare import BoxesAsked, prepare_boxed
    from cars_bench.documents import to_json

    asked = BoxesAsked(
        boxes=boxes,
        classes=detect_classes,
        threshold=detect_threshold,
        margin=crop_margin,
        files=detector_files(detector_weights, detector_python, detector_names),
    )
    options = PrepareOptions(
        source=source,
        labels=labels,
        images=images,
        split=split,
        seed=seed,
        crop=crop,
        name=name,
        allow_missing=allow_missing,
        demo=demo,
        columns=columns,
        group_columns=tuple(group_column or ()),
    )
    dataset = prepare_boxed(session.workspace, options, asked, session.progress)
    for line in card_lines(dataset.name, dataset.card):
        session.say(line)
    if dataset.card.detection:
        session.say(f"boxes drawn: {write_sheet(dataset)}")
    session.say(f"written: {dataset.folder}\nnext: cars-bench extract")
    card = to_json(dataset.card)
    kept = ("images", "classes", "crop", "split", "sizes", "boxes", "quarantined", "warnings",
            "detection")  # fmt: skip
    return {
        "name": dataset.name,
        "folder": str(dataset.folder),
        "digest": dataset.digest,
        "missing": dataset.card.missing.count,
    } | {key: card[key] for key in kept}
