"""`cars-bench extract`: one pass of the frozen backbone, into shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cars_bench.backbones.catalogue import OFFLINE_BACKBONE, PUBLISHED_BACKBONE
from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.progress import duration, size

if TYPE_CHECKING:
    from cars_bench.cache.options import ExtractResult


@command(
    app,
    "extract",
    "cars-bench extract",
    "cars-bench extract --backbone efficientnet-lite0 --views 2",
    "cars-bench extract --boundary conv4 --dry-run",
    "cars-bench extract --backbone pixels --image-size 64 --augment strong",
)
def extract(
    session: Session,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Frozen network [default: the last used, or "
            f"{OFFLINE_BACKBONE} where it is installed, else {PUBLISHED_BACKBONE}]."
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="imagenet, none (random), or a file [default: imagenet].")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the input in pixels [default: the backbone's own].")
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help="avg, max, avgmax (both side by side), or none (maps) [default: avg]."),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(help="Views of a training image; the first is plain [default: 1]."),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="none, light, default, strong, or a YAML file [default: default]."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the views [default: 0].")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float16 or float32, as stored [default: float16].")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="auto, tensorflow or openvino [default: auto].")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images handled together; changes no feature on a CPU [default: 32]."),
    ] = None,
    boundary: Annotated[
        str | None, typer.Option(help="Cache the output of this block instead of pooled features.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Which dataset [default: the last made or used].")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say the cost.")] = False,
) -> Document:
    """Cache the frozen backbone's features of every image, once.

    Killed at any moment, the same command goes on where it stopped.
    """
    from cars_bench.cache.options import ExtractOptions, why_backbone

    flags = {
        "backbone": backbone,
        "weights": weights,
        "image_size": image_size,
        "pooling": pooling,
        "views": views,
        "augment": augment,
        "seed": seed,
        "dtype": dtype,
        "runtime": runtime,
        "batch_size": batch_size,
        "boundary": boundary,
        "dataset": dataset,
        "dry_run": dry_run,
    }
    options = ExtractOptions.resolve(session.workspace, **flags)
    why = why_backbone(session.workspace, options, backbone)
    session.progress.log(f"Backbone: {options.backbone} ({why})")
    if options.runtime == "auto" and _is_first(session):
        session.suggest("openvino", "OpenVINO runs the backbone two to three times faster on a CPU")
    session.choose_backend("tensorflow")
    from cars_bench.cache.extract import extract as run_extract
    from cars_bench.documents import to_json

    result = run_extract(session.workspace, options, session.progress)
    session.say(_forecast(result) if options.dry_run else _summary(result))
    return to_json(result) | {"backbone": options.backbone}


def _is_first(session: Session) -> bool:
    from cars_bench.cache.store import cache_keys

    return not cache_keys(session.workspace)


def _summary(result: ExtractResult) -> str:
    what = f"{result.records:,} records, {size(result.bytes)}"
    if result.written:
        made = f"{result.written:,} computed at {result.images_per_second:,.1f} images/s"
    else:
        made = "all of them were there"
    return (
        f"Cache {result.key}: {what}; {made} ({result.runtime}, {result.precision}).\n"
        "next: cars-bench tune"
    )


def _forecast(result: ExtractResult) -> str:
    shape = " x ".join(map(str, result.shape))
    return (
        f"Would make cache {result.key}: {result.records:,} records of {shape} {result.dtype}, "
        f"{size(result.bytes)}.\n"
        f"{result.written:,} images to compute, about {duration(result.seconds)} "
        f"({result.runtime}, {result.precision}); {result.reused:,} records would be reused."
    )
