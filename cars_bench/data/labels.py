"""What every reader gives: one table of labelled file names, whatever the layout."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from cars_bench.data.dataset import BOX_COLUMNS
from cars_bench.errors import LabelsUnusable

LABEL_COLUMNS = ["file", "class_name", "split", *BOX_COLUMNS]
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Labels:
    """Labels as a source states them, before any image is looked at.

    Attributes:
        source: The label file, or the folder of class folders.
        layout: Which reader read it, for the card.
        table: Columns `LABEL_COLUMNS`: `file` is a posix path under some image
            root, `split` is train, val, test or empty, boxes are pixels or NaN.
        notes: What a person should know about how it was read.
        groups: Properties of classes by name, each class to its value.
    """

    source: Path
    layout: str
    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def has_split(self) -> bool:
        """Whether the source says which image belongs to which split."""
        return bool((self.table["split"] != "").all())


def make_labels(
    source: Path,
    layout: str,
    files: Iterable[str],
    class_names: Iterable[str],
    *,
    splits: Iterable[str] | None = None,
    boxes: pd.DataFrame | None = None,
) -> Labels:
    """Check what all layouts have in common and build the table.

    Args:
        source: The label file, or the folder of class folders.
        layout: Which reader read it.
        files: Posix paths under some image root.
        class_names: Class of each file.
        splits: Split of each file in any known word; `None` where the source has none.
        boxes: Columns `BOX_COLUMNS` in pixels, a row a file; `None` where there are none.

    Raises:
        LabelsUnusable: No rows, an empty class, two rows for one image, an
            unknown split, or a file name that leaves the image folder.
    """
    names = [_posix(source, str(name)) for name in files]
    table = pd.DataFrame({"file": pd.Series(names, dtype=object)})
    if table.empty:
        raise LabelsUnusable(f"{source} holds no labelled image.", "give a source with images")
    table["class_name"] = [_plain(str(name)) for name in class_names]
    table["split"] = _splits(source, splits) if splits is not None else ""
    for column in BOX_COLUMNS:
        table[column] = boxes[column].to_numpy(float) if boxes is not None else float("nan")
    _refuse_empty_classes(source, table)
    _refuse_repeats(source, table)
    return Labels(source, layout, table[LABEL_COLUMNS])


def some(names: Sequence[str], shown: int = 3) -> str:
    """The first few names, for a message: `a, b, c and 4 more`."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest:,} more" if rest > 0 else "")


def _posix(source: Path, name: str) -> str:
    path = PurePosixPath(name.strip().replace("\\", "/"))
    if not path.name or path.is_absolute() or ".." in path.parts:
        raise LabelsUnusable(
            f"{source} names an image outside the image folder: {name!r}.",
            "name images relative to the image folder",
        )
    return path.as_posix()


def _plain(class_name: str) -> str:
    return unicodedata.normalize("NFC", class_name.strip())


def _splits(source: Path, splits: Iterable[str]) -> list[str]:
    words = [str(word).strip().lower() for word in splits]
    unknown = sorted({word for word in words if word and word not in SPLIT_WORDS})
    if unknown:
        raise LabelsUnusable(
            f"{source} has an unknown split {unknown[0]!r} (known: train, val, test).",
            "mend the split column, or take it out",
        )
    if "" in words and any(words):
        raise LabelsUnusable(
            f"{source} says the split of {sum(map(bool, words)):,} images and not of "
            f"{words.count(''):,}.",
            "fill the split column, or empty it",
        )
    return [SPLIT_WORDS.get(word, "") for word in words]


def _refuse_empty_classes(source: Path, table: pd.DataFrame) -> None:
    empty = table.loc[table["class_name"] == "", "file"].tolist()
    if empty:
        raise LabelsUnusable(
            f"{source} gives no class for {len(empty):,} images: {some(empty)}.",
            "name their class, or take the rows out",
        )


def _refuse_repeats(source: Path, table: pd.DataFrame) -> None:
    repeated = table.loc[table["file"].duplicated(), "file"].drop_duplicates().tolist()
    if repeated:
        raise LabelsUnusable(
            f"{source} has two rows or more for {len(repeated):,} images: {some(repeated)}.",
            "keep one row an image",
        )
