"""A prepared dataset: one table, one split, one card.

On disk, `cache/datasets/NAME/` holds `dataset.csv` and `card.json`; the card
is written last, so a folder without one is not a dataset.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from cars_bench.atomic import atomic_file
from cars_bench.checksums import checksum
from cars_bench.data.card import CARD_FILE, PREPARE, Card, prepared, read_card, write_card
from cars_bench.data.copies import Copies, find_copies, labels_elsewhere, same_files
from cars_bench.data.images import Box
from cars_bench.errors import DatasetMissing, RecordDamaged, known
from cars_bench.tables import table_rows, table_text
from cars_bench.workspace import Workspace, plain_bytes

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
BOX_COLUMNS = ["x1", "y1", "x2", "y2"]
COLUMNS = [
    "image_id",
    "path",
    "class_name",
    "label",
    "split",
    *BOX_COLUMNS,
    "width",
    "height",
    "sha256",
]
TABLE_FILE = "dataset.csv"
DETECTOR = "detector"
"""The crop of a dataset whose boxes a detector found."""


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """One image as a stage needs it.

    Attributes:
        image_id: Posix path under the image root; unique in the dataset.
        path: The image file.
        label: Index into `Dataset.class_names`.
        box: Region to crop to in pixels of the upright original; `None` takes all.
        sha256: Digest of the file when it was prepared.
    """

    image_id: str
    path: Path
    label: int
    box: Box | None
    sha256: str


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """One image as the table has it.

    Attributes:
        image_id: Posix path under the image root; unique in the dataset.
        path: The image file.
        class_name: Its class.
        split: `train`, `val` or `test`.
        box: The object in pixels of the upright original; `None` where the source has none.
        width: Pixels of the upright original.
        height: Pixels of the upright original.
    """

    image_id: str
    path: Path
    class_name: str
    split: str
    box: Box | None
    width: int
    height: int

    @property
    def unit_box(self) -> Box | None:
        """The box as shares of width and height, cut to the picture; `None` without area."""
        if self.box is None:
            return None
        sides = (self.width, self.height, self.width, self.height)
        left, top, right, bottom = (
            min(1.0, max(0.0, edge / side)) for edge, side in zip(self.box, sides, strict=True)
        )
        return (left, top, right, bottom) if right > left and bottom > top else None


@dataclass(frozen=True)
class Dataset:
    """Images, labels and split, as `prepare` left them.

    Attributes:
        name: Folder name under `cache/datasets/`.
        folder: Where the table and the card are.
        table: One row an image with the columns `COLUMNS`: `path` is absolute,
            `label` int64 from 0, the box float64 in pixels of the upright
            original (NaN where the source has none).
        card: Counts, source, split and quarantine.
    """

    name: str
    folder: Path
    table: pd.DataFrame
    card: Card

    @classmethod
    def load(cls, workspace: Workspace, name: str | None = None) -> Dataset:
        """Open a prepared dataset, by default the last one made or used.

        Raises:
            DatasetMissing: None was prepared, or it is unfinished.
            RecordDamaged: Its card or its table is not what was written.
        """
        chosen = name or workspace.settings().get("dataset", {}).get("name")
        if not chosen:
            raise DatasetMissing("No dataset has been prepared here yet.", PREPARE)
        folder = workspace.dataset(chosen)
        if not (folder / CARD_FILE).is_file():
            names = known(there.name for there in prepared(workspace))
            raise DatasetMissing(f"There is no dataset named {chosen!r}{names}.", PREPARE)
        dataset = cls(chosen, folder, _read_table(folder), read_card(folder))
        if not dataset.is_as_described():
            raise _damaged(folder, "is not the table that its card describes: it was edited")
        return dataset

    @property
    def crop(self) -> str:
        """What each image is cut to before it is resized: `none`, `boxes` or `detector`."""
        return self.card.crop

    @property
    def is_cropped(self) -> bool:
        """Whether each image that has a box is cut to it."""
        return self.crop != "none"

    @cached_property
    def class_names(self) -> list[str]:
        """Class names; the index is the label."""
        pairs = self.table[["label", "class_name"]].drop_duplicates().sort_values("label")
        return [str(name) for name in pairs["class_name"]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything about the images but where they lie."""
        return digest_of(self.table)

    def is_as_described(self) -> bool:
        """Whether the table is the one that the card was written for, wherever its images lie."""
        sizes = sizes_digest(self.table)
        return self.digest == self.card.digest and self.card.sizes_digest in ("", sizes)

    def split(self, name: Split) -> pd.DataFrame:
        """Rows of one split, in the order of `image_id`."""
        rows = self.table[self.table["split"] == name]
        return rows.sort_values("image_id").reset_index(drop=True)

    def records(self, name: Split) -> list[ImageRecord]:
        """The split's images in the order of `split`, with the box to crop to, if any."""
        rows = self.split(name)
        boxes = boxes_of(rows) if self.is_cropped else [None] * len(rows)
        return [
            ImageRecord(
                image_id=row["image_id"],
                path=Path(row["path"]),
                label=row["label"],
                box=box,
                sha256=row["sha256"],
            )
            for row, box in zip(rows.to_dict("records"), boxes, strict=True)
        ]

    @property
    def object_boxes(self) -> dict[str, Box | None]:
        """The object of every image by its id, in pixels of the upright original."""
        return {name: item.box for name, item in self.images.items()}

    @cached_property
    def images(self) -> dict[str, LabelledImage]:
        """Every image of every split, by its id."""
        rows = zip(self.table.to_dict("records"), boxes_of(self.table), strict=True)
        return {
            row["image_id"]: LabelledImage(
                image_id=row["image_id"],
                path=Path(row["path"]),
                class_name=row["class_name"],
                split=row["split"],
                box=box,
                width=row["width"],
                height=row["height"],
            )
            for row, box in rows
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each class in each split, in the order of the labels."""
        return class_counts(self.table)

    def copies(self) -> list[Copies]:
        """Pictures that stand in two splits or under two labels, byte for byte."""
        return find_copies(self.table)

    def same_files(self, copies: list[Copies]) -> list[str]:
        """Those pictures, a line each, such as `a.jpg (test, Audi) = b.jpg (train, BMW)`."""
        return same_files(self.table, copies)

    def labels_elsewhere(self, split: Split, other: Split) -> dict[str, list[str]]:
        """The classes under which the bytes of a split's images stand in another, by image."""
        return labels_elsewhere(self.table, split, other)


def write_dataset(folder: Path, table: pd.DataFrame, card: Card) -> None:
    """Replace the dataset in `folder`: table first, card (the done mark) last.

    Images that lie inside `folder` are stored by relative path, so that a
    workspace can be moved.  The card gets the digest of the table.
    """
    stored = table[COLUMNS].copy()
    stored["path"] = [_portable(path, folder) for path in stored["path"]]
    for column in BOX_COLUMNS:
        stored[column] = [_whole(value) for value in stored[column]]
    with atomic_file(folder / TABLE_FILE, "w") as stream:
        stream.write(table_text(COLUMNS, stored.itertuples(index=False)))
        (folder / CARD_FILE).unlink(missing_ok=True)
    described = replace(card, digest=digest_of(table), sizes_digest=sizes_digest(table))
    write_card(folder, described)


def class_counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Images of each class in each split, classes in the order of the labels."""
    counts = table.groupby(["class_name", "split"]).size()
    return {
        name: {split: int(counts.get((name, split), 0)) for split in SPLITS}
        for name in sorted(table["class_name"].unique())
    }


def digest_of(table: pd.DataFrame) -> str:
    """SHA-256 over image_id, content, label, class, split and box of every row, sorted."""
    ordered = table.sort_values("image_id")
    boxes = zip(*(map(_whole, ordered[column]) for column in BOX_COLUMNS), strict=True)
    keys = ["image_id", "sha256", "label", "class_name", "split"]
    rows = zip(*(ordered[key] for key in keys), boxes, strict=True)
    hasher = hashlib.sha256()
    for image_id, sha256, label, class_name, split, box in rows:
        row = [image_id, sha256, int(label), class_name, split, *box]
        hasher.update(json.dumps(row).encode() + b"\n")
    return hasher.hexdigest()


def sizes_digest(table: pd.DataFrame) -> str:
    """SHA-256 over width and height of every image, which are no part of `digest_of`."""
    columns = (table[name].tolist() for name in ("image_id", "width", "height"))
    return checksum(sorted(map(list, zip(*columns, strict=True))))


def boxes_of(rows: pd.DataFrame) -> list[Box | None]:
    """The box of each row; `None` where it has none."""
    values = rows[BOX_COLUMNS].to_numpy(float)
    return [
        None if box[0] != box[0] else (box[0], box[1], box[2], box[3]) for box in values.tolist()
    ]


def columns_of(boxes: Sequence[Box | None]) -> dict[str, list[float]]:
    """The inverse of `boxes_of`: a column an edge, NaN where there is no box."""
    edges = zip(*(box or (math.nan,) * len(BOX_COLUMNS) for box in boxes), strict=True)
    return {name: list(column) for name, column in zip(BOX_COLUMNS, edges, strict=True)}


def evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spaced from the first to the last."""
    count = min(most, len(items))
    step = (len(items) - 1) / max(1, count - 1)
    return [items[round(place * step)] for place in range(count)]


def _read_table(folder: Path) -> pd.DataFrame:
    # Slow to import, and commands that read no table need to know where things are too.
    import pandas as pd

    try:
        rows = list(table_rows(plain_bytes(folder / TABLE_FILE).decode()))
        if rows[:1] != [COLUMNS] or any(len(row) != len(COLUMNS) for row in rows):
            raise ValueError(f"its columns must be {', '.join(COLUMNS)}")
        table = pd.DataFrame(rows[1:], columns=COLUMNS, dtype=str)
        for column in ("label", "width", "height"):
            table[column] = table[column].astype("int64")
        for column in BOX_COLUMNS:
            table[column] = pd.to_numeric(table[column]).astype("float64")
    except FileNotFoundError:
        raise _damaged(folder, "is missing") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise _damaged(folder, f"is damaged: {' '.join(str(error).split())}") from error
    table["path"] = [os.path.normpath(folder / path) for path in table["path"]]
    return table


def _damaged(folder: Path, problem: str) -> RecordDamaged:
    return RecordDamaged(f"{folder / TABLE_FILE} {problem}.", "run prepare again")


def _portable(path: str, folder: Path) -> str:
    whole = Path(path)
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else path


def _whole(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"
