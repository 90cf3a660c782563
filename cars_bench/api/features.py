"""From images to features: `prepare` and `extract`."""

from __future__ import annotations

from collections.abc import Sequence

from cars_bench.api.places import StrPath, files_of, path_of, place_of, whole
from cars_bench.cache.options import ExtractOptions, why_backbone
from cars_bench.cache.store import FeatureCache
from cars_bench.keras_backend import load_keras
from cars_bench.progress import for_stream
from cars_bench.results.data import CacheResult, DatasetResult


def prepare(
    source: StrPath | None = None,
    *,
    labels: StrPath | None = None,
    images: StrPath | None = None,
    split: str | None = None,
    columns: str | None = None,
    group_column: str | Sequence[str] = (),
    seed: int = 0,
    crop: str = "none",
    boxes: str = "source",
    detect_classes: str | None = None,
    detect_threshold: float | None = None,
    crop_margin: float | None = None,
    detector_weights: StrPath | None = None,
    detector_python: StrPath | None = None,
    detector_names: StrPath | None = None,
    name: str | None = None,
    allow_missing: bool = False,
    demo: bool = False,
    workspace: StrPath | None = None,
    quiet: bool = False,
) -> DatasetResult:
    """Read labels and images in any known layout, and split them.

    Args:
        source: Folder with images and labels, or a label file.
        labels: CSV or .mat file with the labels.
        images: Folder that file names start from.
        split: Percentages such as `65/20/15`, or `column` for the label file's own.
        columns: Columns of the CSV with path and class, such as `path,label`.
        group_column: Column of the CSV with a property of the class, or several.
        seed: Of the split.
        crop: `none`, `boxes`, or `detector[:NAME]`.
        boxes: Of pictures that stay whole: `source` (the labels), or `detector[:NAME]`.
        detect_classes: Of the detector, such as `car,truck,bus`.
        detect_threshold: Least score of a box that is taken, 0.05 to 1.
        crop_margin: Added on each side of a detector's box, as a share of it, 0 to 1.
        detector_weights: File with the detector's weights.
        detector_python: Python that has detectron2.
        detector_names: Text file with the classes of an ONNX detector.
        name: Of the dataset; by default the source's.
        allow_missing: Go on without missing images.
        demo: Draw the demo images and take those.
        workspace: Folder with `cache/`, `tuning/` and `reports/`.
        quiet: No progress.

    Raises:
        UsageError: Options that do not go together.
        InputError: Labels or images that cannot be used.
    """
    from cars_bench.data.box_sheet import write_sheet
    from cars_bench.data.prepare import PrepareOptions
    from cars_bench.detectors.prepare import BoxesAsked, prepare_boxed

    place = place_of(workspace)
    progress = for_stream(quiet)
    asked = BoxesAsked(
        boxes=boxes,
        classes=detect_classes,
        threshold=detect_threshold,
        margin=crop_margin,
        files=files_of(detector_weights, detector_python, detector_names),
    )
    options = PrepareOptions(
        source=path_of(source),
        labels=path_of(labels),
        images=path_of(images),
        split=split,
        **whole(seed=seed),
        crop=crop,
        name=name,
        allow_missing=allow_missing,
        demo=demo,
        columns=columns,
        group_columns=(group_column,) if isinstance(group_column, str) else tuple(group_column),
    )
    dataset = prepare_boxed(place, options, asked, progress)
    if dataset.card.detection:
        progress.log(f"boxes drawn: {write_sheet(dataset)}")
    return DatasetResult(dataset)


def extract(
    *,
    backbone: str | None = None,
    weights: str | None = None,
    image_size: int | None = None,
    pooling: str | None = None,
    views: int | None = None,
    augment: str | None = None,
    seed: int | None = None,
    dtype: str | None = None,
    runtime: str | None = None,
    batch_size: int | None = None,
    boundary: str | None = None,
    dataset: str | None = None,
    workspace: StrPath | None = None,
    quiet: bool = False,
) -> CacheResult:
    """Cache the frozen backbone's features of every image, once.

    What is `None` is as in the last extract, else the command's default.

    Args:
        backbone: Name in the catalogue.
        weights: `imagenet`, `none` (random), or a file.
        image_size: Side of the input in pixels.
        pooling: `avg`, `max`, `avgmax`, or `none` for the map itself.
        views: Views of a training image; the first is plain.
        augment: `none`, `light`, `default`, `strong`, or a YAML file.
        seed: Of the views.
        dtype: `float16` or `float32`, as stored.
        runtime: `auto`, `tensorflow` or `openvino`.
        batch_size: Images handled together.
        boundary: Cache the output of this block instead of pooled features.
        dataset: Which dataset; by default the last made or used.
        workspace: Folder with `cache/`, `tuning/` and `reports/`.
        quiet: No progress.

    Raises:
        DatasetMissing: Nothing was prepared.
        WeightsUnavailable: The backbone's weights cannot be had.
        UsageError: A value that cannot be.
    """
    place = place_of(workspace)
    progress = for_stream(quiet)
    options = ExtractOptions.resolve(
        place,
        **whole(image_size=image_size, views=views, seed=seed, batch_size=batch_size),
        backbone=backbone,
        weights=weights,
        pooling=pooling,
        augment=augment,
        dtype=dtype,
        runtime=runtime,
        boundary=boundary,
        dataset=dataset,
    )
    progress.log(f"Backbone: {options.backbone} ({why_backbone(place, options, backbone)})")
    load_keras(progress, "tensorflow")
    from cars_bench.cache.extract import extract as run

    done = run(place, options, progress)
    return CacheResult(FeatureCache.open(place, done.key), done)
