"""Reads every image once, finds what is wrong between labels and images, and says it with names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cars_bench.atomic import SURROGATES
from cars_bench.data.card import Quarantined
from cars_bench.data.copies import find_copies, remedy, sentence
from cars_bench.data.dataset import BOX_COLUMNS
from cars_bench.data.images import MOST_BYTES, ImageUnusable, decode_image
from cars_bench.data.labels import some
from cars_bench.errors import InputError
from cars_bench.progress import Progress, Task, plural
from cars_bench.workspace import plain_bytes

CHUNK = 256
BOX_TOLERANCE_PIXELS = 2.0
FOREIGN_BOXES = 0.5
"""Above this share of boxes outside their images, all boxes belong to other images."""

LEFT_OUT_ALL = (
    "all boxes were left out (the images were cropped before, or the labels are of other images)"
)


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What one file turned out to be.

    Attributes:
        width: Pixels of the upright original, 0 if unreadable.
        height: Pixels of the upright original, 0 if unreadable.
        sha256: Digest of the file's bytes, empty if they cannot be read.
        problem: Why it cannot be used; empty if it can.
        is_page: It is a web page, so the image was never fetched.
    """

    width: int = 0
    height: int = 0
    sha256: str = ""
    problem: str = ""
    is_page: bool = False


@dataclass
class Problems:
    """What was found wrong and went on all the same; ends up in the card.

    Attributes:
        missing: Image ids without a file (`--allow-missing`).
        quarantined: Each file that cannot be used.
        warnings: Plain sentences.
    """

    missing: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def scan_image(path: Path) -> Scanned:
    """Read and decode one file; a file that cannot be used is a result, not an error."""
    try:
        data = plain_bytes(path, MOST_BYTES)
    except OSError as error:
        return Scanned(problem=f"it cannot be read: {error.strerror}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        image = decode_image(data)
    except ImageUnusable as error:
        return Scanned(sha256=digest, problem=str(error), is_page=error.is_page)
    return Scanned(width=image.width, height=image.height, sha256=digest)


def scan_images(paths: Sequence[Path], progress: Progress) -> list[Scanned]:
    """Scan files in threads (decoding releases the GIL), in bounded memory.

    Returns:
        One result a path, in order.
    """
    results: list[Scanned] = []
    with (
        progress.stage("Reading images", len(paths), "images") as task,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for start in range(0, len(paths), CHUNK):
            for scanned in pool.map(scan_image, paths[start : start + CHUNK]):
                results.append(scanned)
                task.advance()
            _tell(task, len(results), len(paths))
    return results


def refuse_missing(missing: list[str], total: int, root: str, allowed: bool) -> None:
    """Raise unless every image is there, or the user allows them to miss."""
    if missing and not allowed:
        raise InputError(
            f"{len(missing):,} of {total:,} labelled images are missing in {root}: "
            f"{some(missing)}.",
            "add them, or go on without them: --allow-missing",
        )


def put_aside_other_bytes(rows: pd.DataFrame, problems: Problems) -> pd.DataFrame:
    """Take out and list the images whose file names are not Unicode: no table can name them.

    Raises:
        InputError: None is left.
    """
    strange = rows["image_id"].map(lambda name: SURROGATES.search(name) is not None)
    problems.quarantined += [
        Quarantined(name.encode(errors="backslashreplace").decode(), "its name is not UTF-8")
        for name in rows.loc[strange, "image_id"]
    ]
    if strange.all():
        raise InputError("No image has a name that is UTF-8.", "rename them, or their folder")
    return rows[~strange].reset_index(drop=True)


def quarantine(rows: pd.DataFrame, allow_missing: bool, problems: Problems) -> pd.DataFrame:
    """Take out and list the images that cannot be used.

    A web page in place of an image counts as a missing image.

    Args:
        rows: With columns `image_id`, `problem` and `is_page`.
        allow_missing: Web pages are quarantined too instead of refused.
        problems: The list grows.

    Returns:
        The rows of usable images.
    """
    pages = rows.loc[rows["is_page"], "image_id"].tolist()
    if pages and not allow_missing:
        raise InputError(
            f"{len(pages):,} of {len(rows):,} images are HTML pages, not images: {some(pages)}.",
            "download them again, or go on without them: --allow-missing",
        )
    broken = rows[rows["problem"] != ""]
    pairs = zip(broken["image_id"], broken["problem"], strict=True)
    problems.quarantined += [Quarantined(name, reason) for name, reason in pairs]
    usable = rows[rows["problem"] == ""]
    if usable.empty:
        first = problems.quarantined[0]
        raise InputError(
            f"None of {len(rows):,} images can be read; {first.image_id}: {first.reason}.",
            "give images that open in an image viewer",
        )
    return usable


def check_boxes(
    rows: pd.DataFrame, crop: str, allow_missing: bool, problems: Problems
) -> pd.DataFrame:
    """Clip boxes to their images; refuse or (`allow_missing`, uncropped) drop those outside.

    Args:
        rows: With columns `image_id`, `x1`..`y2`, `width` and `height`.
        crop: `none` or `boxes`.
        allow_missing: Whether to go on without boxes that are wrong.
        problems: The warnings grow.

    Returns:
        The rows with whole-pixel boxes inside their images, or NaN.
    """
    rows = rows.copy()
    boxes = rows[BOX_COLUMNS].to_numpy(float, copy=True)
    boxes[np.isnan(boxes).any(axis=1)] = np.nan
    limits = rows[["width", "height", "width", "height"]].to_numpy(float)
    outside = _outside(boxes, limits)
    if outside.any():
        names = rows.loc[outside, "image_id"].tolist()
        text = f"{len(names):,} of {len(rows):,} images have a box outside the image: {some(names)}"
        if crop == "boxes" or not allow_missing:
            raise InputError(f"{text}.", _box_fix(crop))
        foreign = outside.mean() > FOREIGN_BOXES
        boxes[outside | foreign] = np.nan
        taken = LEFT_OUT_ALL if foreign else "those boxes were left out"
        problems.warnings.append(f"{text}; {taken}.")
    boxes[:, :2] = np.floor(boxes[:, :2])
    boxes[:, 2:] = np.ceil(boxes[:, 2:])
    rows[BOX_COLUMNS] = np.clip(boxes, 0, limits)
    _refuse_boxless(rows, crop)
    return rows


def _outside(boxes: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Flags, bool [N]; a pixel or two too far is how some tools round, and is clipped."""
    slack = BOX_TOLERANCE_PIXELS
    beyond = (boxes < -slack).any(axis=1) | (boxes > limits + slack).any(axis=1)
    clipped = np.clip(boxes, 0, limits)
    empty = (clipped[:, 2] - clipped[:, 0] < 1) | (clipped[:, 3] - clipped[:, 1] < 1)
    found: np.ndarray = beyond | empty
    return found


def _box_fix(crop: str) -> str:
    if crop == "boxes":
        return "mend the boxes, or prepare with --crop none"
    return (
        "mend the boxes, or go on without them (images that are cropped already): --allow-missing"
    )


def _refuse_boxless(rows: pd.DataFrame, crop: str) -> None:
    boxless = rows.loc[rows["x1"].isna(), "image_id"].tolist()
    if crop == "boxes" and boxless:
        raise InputError(
            f"--crop boxes needs a box for each image, and {len(boxless):,} of {len(rows):,} "
            f"have none: {some(boxless)}.",
            "give labels with boxes, or let a detector find them: --crop detector",
        )


def warn_of_duplicates(table: pd.DataFrame, problems: Problems) -> None:
    """Report images whose very bytes stand in another split, or under another label."""
    copies = find_copies(table)
    if copies:
        names = list(dict.fromkeys(name for item in copies for name in item.names))
        problems.warnings.append(f"{sentence(copies)}: {some(names)}; {remedy(copies)}.")


def refuse_empty_splits(table: pd.DataFrame, problems: Problems) -> None:
    """Raise unless there are two classes and each split has images; warn of unlearnable classes."""
    if table["class_name"].nunique() == 1:
        raise InputError(
            f"{'All ' * (len(table) > 1)}{plural(len(table), 'image')} "
            f"{'are' if len(table) > 1 else 'is'} of one class, {table['class_name'].iloc[0]!r}.",
            "give two classes or more: a folder each, or a label each",
        )
    counts = table["split"].value_counts()
    empty = [name for name in ("train", "val", "test") if not counts.get(name)]
    if empty:
        raise InputError(
            f"The {' and the '.join(empty)} split would have no image "
            f"({plural(len(table), 'image')} in all).",
            "give more images, or another --split",
        )
    learnable = set(table.loc[table["split"] == "train", "class_name"])
    unlearnable = sorted(set(table["class_name"]) - learnable)
    if unlearnable:
        problems.warnings.append(
            f"{plural(len(unlearnable), 'class')} without a training image: {some(unlearnable)}."
        )


def _tell(task: Task, done: int, total: int) -> None:
    """A line at every tenth or so, for logs."""
    every = max(CHUNK, total // 10)
    if done == total or done // every > (done - CHUNK) // every:
        task.line(f"{done:,} of {total:,} images, {done / max(task.seconds, 1e-9):,.0f} images/s")
