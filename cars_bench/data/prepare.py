"""Labels and images in any known layout -> one Dataset on disk."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import PIL

from cars_bench import __version__
from cars_bench.data.card import (
    CARD_FILE,
    Card,
    CardSource,
    MissingImages,
    Quantiles,
    Sizes,
    SplitSummary,
    read_card,
)
from cars_bench.data.csv_labels import CsvColumns, parse_columns
from cars_bench.data.dataset import (
    COLUMNS,
    DETECTOR,
    SPLITS,
    Dataset,
    boxes_of,
    class_counts,
    columns_of,
    digest_of,
    write_dataset,
)
from cars_bench.data.demo import draw_demo
from cars_bench.data.detection import BoxFinder, DetectionSummary, Picture, summary
from cars_bench.data.labels import Labels
from cars_bench.data.problems import (
    Problems,
    check_boxes,
    put_aside_other_bytes,
    quarantine,
    refuse_empty_splits,
    refuse_missing,
    scan_images,
    warn_of_duplicates,
)
from cars_bench.data.sources import Located, locate
from cars_bench.data.splits import TEST_OF_TRAIN, VAL_OF_TRAIN, parse_split, stratified
from cars_bench.errors import DatasetMissing, InputError, RecordDamaged, UsageError
from cars_bench.progress import Progress, plural
from cars_bench.workspace import Workspace, locked

DEFAULT_SPLIT = "65/20/15"
CROPS = ("none", "boxes")


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """What `prepare` is asked for.

    Attributes:
        source: A folder or a label file.
        labels: The label file, where `source` is not it.
        images: The image root, where it cannot be guessed.
        split: `column` (the file's own), percentages such as `65/20/15`, or
            `None`: the file's own if it has one, else 65/20/15.
        seed: Seed of the split and of the demo images.
        crop: `none`, or `boxes` to cut each image to the source's box.
        whole: Pictures stay whole, whoever finds their boxes.
        name: Name of the dataset; `None` takes the source's.
        allow_missing: Go on without images that are missing or web pages.
        demo: Draw the demo images and prepare those.
        columns: Columns of the label file with path and class, and perhaps split, as
            `path,label`; `None` takes those that the header tells.
        group_columns: Columns of the label file with a property of the class.
    """

    source: Path | None = None
    labels: Path | None = None
    images: Path | None = None
    split: str | None = None
    seed: int = 0
    crop: str = "none"
    whole: bool = False
    name: str | None = None
    allow_missing: bool = False
    demo: bool = False
    columns: str | None = None
    group_columns: tuple[str, ...] = ()


def prepare(
    workspace: Workspace,
    options: PrepareOptions,
    progress: Progress,
    finder: BoxFinder | None = None,
) -> Dataset:
    """Read labels and images, split them, and write the dataset.

    Args:
        workspace: Where `cache/datasets/NAME/` is written; its settings remember the choice.
        options: What to read and how to split.
        progress: Told about each image.
        finder: Finds the boxes, in place of the source's; the images are cut to them unless
            they are to stay whole.

    Returns:
        The dataset as later stages load it.

    Raises:
        UsageError: Options that do not go together.
        InputError: Labels or images that cannot be used.
    """
    check_options(options)
    folder = workspace.dataset(_name(options))
    _require_writable(workspace.datasets)
    with locked(workspace.datasets / f".{folder.name}.lock", f"prepare of {folder.name}"):
        table, card = _read(folder, options, progress, finder)
        _tell_of_replaced(folder, card, progress)
        folder.mkdir(parents=True, exist_ok=True)
        write_dataset(folder, table, card)
        workspace.remember("dataset", name=folder.name, crop=card.crop)
    return Dataset.load(workspace, folder.name)


def make_card(
    table: pd.DataFrame,
    problems: Problems,
    *,
    source: CardSource,
    how: str,
    seed: int,
    crop: str,
) -> Card:
    """Count what a dataset holds.

    Args:
        table: The dataset's table.
        problems: What was found wrong.
        source: Where labels and images came from.
        how: How it was split, in words.
        seed: Seed of the split.
        crop: `none`, `boxes` or `detector`.
    """
    splits = table["split"].value_counts()
    return Card(
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        source=source,
        crop=crop,
        images=len(table),
        classes=int(table["class_name"].nunique()),
        split=SplitSummary(how, seed, {name: int(splits.get(name, 0)) for name in SPLITS}),
        class_counts=class_counts(table),
        sizes=Sizes(_quantiles(table["width"]), _quantiles(table["height"])),
        boxes=int(table["x1"].notna().sum()),
        missing=MissingImages(len(problems.missing), tuple(problems.missing)),
        quarantined=tuple(problems.quarantined),
        warnings=tuple(problems.warnings),
        versions={"cars_bench": __version__, "pillow": PIL.__version__},
        digest=digest_of(table),
    )


def _quantiles(values: pd.Series[Any]) -> Quantiles:
    return Quantiles(
        min=float(values.min()),
        p05=float(values.quantile(0.05)),
        median=float(values.quantile(0.5)),
        p95=float(values.quantile(0.95)),
        max=float(values.max()),
    )


def _read(
    folder: Path, options: PrepareOptions, progress: Progress, finder: BoxFinder | None
) -> tuple[pd.DataFrame, Card]:
    source = options.source
    if options.demo:
        (folder / CARD_FILE).unlink(missing_ok=True)
        source = draw_demo(folder, options.seed, progress)
    located = locate(
        _whole(source), _whole(options.labels), _whole(options.images), _columns(options)
    )
    problems = Problems(warnings=list(located.labels.notes))
    rows = _existing(located, options, problems)
    rows["split"], how = _split(rows, located.labels, options, problems)
    rows = _scanned(rows, progress)
    rows = quarantine(rows, options.allow_missing, problems)
    rows = check_boxes(rows, options.crop, options.allow_missing or finder is not None, problems)
    rows, detection = _detected(rows, finder, progress)
    problems.warnings += detection.warnings(cut=not options.whole) if detection else []
    table = _labelled(rows)
    refuse_empty_splits(table, problems)
    warn_of_duplicates(table, problems)
    origin = CardSource(
        labels=str(located.labels.source),
        images=str(located.images),
        layout=located.labels.layout,
    )
    crop = DETECTOR if detection and not options.whole else options.crop
    card = make_card(table, problems, source=origin, how=how, seed=options.seed, crop=crop)
    return table, replace(card, groups=located.labels.groups, detection=detection)


def _detected(
    rows: pd.DataFrame, finder: BoxFinder | None, progress: Progress
) -> tuple[pd.DataFrame, DetectionSummary | None]:
    """The rows with the boxes that a detector found, and how that went."""
    if finder is None:
        return rows, None
    pictures = [
        Picture(path=Path(row["path"]), **{key: row[key] for key in ("sha256", "width", "height")})
        for row in rows.to_dict("records")
    ]
    found = finder.find(pictures, progress)
    boxes = [finder.crop.box(seen, item) for seen, item in zip(found, pictures, strict=True)]
    said = summary(finder.crop, pictures, found, boxes_of(rows))
    return rows.assign(**columns_of(boxes)), said


def _tell_of_replaced(folder: Path, card: Card, progress: Progress) -> None:
    """Say so where a dataset of other content has the name: its studies become stale."""
    try:
        earlier = read_card(folder)
    except (DatasetMissing, RecordDamaged):
        return
    if earlier.digest != card.digest:
        progress.log(
            f"note: this replaces the dataset {folder.name!r} ({plural(earlier.images, 'image')}, "
            f"crop {earlier.crop}): caches and studies made of it become stale; "
            "--name NAME keeps both"
        )


def _columns(options: PrepareOptions) -> CsvColumns:
    named = () if options.columns is None else parse_columns(options.columns)
    return CsvColumns(named, options.group_columns)


def _existing(located: Located, options: PrepareOptions, problems: Problems) -> pd.DataFrame:
    rows = located.labels.table.rename(columns={"file": "image_id"})
    rows = put_aside_other_bytes(rows, problems)
    rows["path"] = [str(located.images / name) for name in rows["image_id"]]
    here = rows["path"].map(lambda path: Path(path).exists())
    problems.missing = rows.loc[~here, "image_id"].tolist()
    refuse_missing(problems.missing, len(rows), str(located.images), options.allow_missing)
    return rows[here].reset_index(drop=True)


def _scanned(rows: pd.DataFrame, progress: Progress) -> pd.DataFrame:
    found = scan_images([Path(path) for path in rows["path"]], progress)
    return pd.concat([rows, pd.DataFrame([vars(item) for item in found])], axis="columns")


def _split(
    rows: pd.DataFrame, labels: Labels, options: PrepareOptions, problems: Problems
) -> tuple[list[str], str]:
    """Split of each row, and how it came about."""
    known = sorted(set(rows["split"]))
    own = labels.has_split and "train" in known and len(known) > 1
    if options.split == "column" and not own:
        raise InputError(
            f"{labels.source} does not say which images are train and which are test.",
            f"--split {DEFAULT_SPLIT}",
        )
    if own and options.split in (None, "column"):
        return _own_split(rows, options.seed)
    if options.split is None and labels.has_split:
        problems.warnings.append(
            f"The source knows no split but {' and '.join(known)}; it was split anew."
        )
    text = options.split or DEFAULT_SPLIT
    shares = parse_split(text)
    dealt = stratified(rows["image_id"].tolist(), rows["class_name"].tolist(), shares, options.seed)
    return dealt, f"{text} stratified, seed {options.seed}"


def _own_split(rows: pd.DataFrame, seed: int) -> tuple[list[str], str]:
    """The source's split; validation or test, where it lacks one, is taken from train."""
    lacking = {"val": VAL_OF_TRAIN, "test": TEST_OF_TRAIN}
    taken = {name: share for name, share in lacking.items() if not (rows["split"] == name).any()}
    if not taken:
        return rows["split"].tolist(), "the source's own"
    ((name, share),) = taken.items()
    train = rows[rows["split"] == "train"]
    ids = train["image_id"].tolist()
    classes = train["class_name"].tolist()
    shares = {"train": 1 - share, name: share}
    dealt = dict(zip(ids, stratified(ids, classes, shares, seed), strict=True))
    splits = zip(rows["image_id"], rows["split"], strict=True)
    how = f"the source's own; {share:.0%} of train, stratified, seed {seed}, as {name}"
    return [dealt.get(image_id, split) for image_id, split in splits], how


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Labels from sorted class names, assigned once; rows in the order of image_id."""
    names = sorted(rows["class_name"].unique())
    numbers = {name: number for number, name in enumerate(names)}
    table = rows.assign(label=rows["class_name"].map(numbers).astype("int64"))
    return table.sort_values("image_id").reset_index(drop=True)[COLUMNS]


def check_options(options: PrepareOptions) -> None:
    """Refuse options that cannot be, whatever the source holds.

    Raises:
        UsageError: They cannot.
    """
    given = [path for path in (options.source, options.labels, options.images) if path is not None]
    if options.demo and given:
        raise UsageError("--demo draws its own images and takes no SOURCE.", "leave one out")
    if not options.demo and not given:
        raise UsageError("Nothing to prepare: no SOURCE given.", "cars-bench prepare --demo")
    if options.crop not in CROPS:
        raise UsageError(
            f"--crop {options.crop} is unknown.", f"--crop {'|'.join(CROPS)}|detector[:NAME]"
        )
    if options.split not in (None, "column"):
        parse_split(options.split)
    _columns(options)


def _name(options: PrepareOptions) -> str:
    if options.name is not None:
        return options.name
    if options.demo:
        return "demo"
    given = (options.source or options.labels or options.images or Path()).resolve()
    folder = given.parent if given.is_file() else given
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._")
    return slug[:100] or "dataset"


def _whole(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().resolve()


def _require_writable(folder: Path) -> None:
    """Fail before any work where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"Cannot write to {folder}: {error.strerror}.", "choose another --workspace"
        ) from error
