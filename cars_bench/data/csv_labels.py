"""Reads CSV labels: columns that say what they are, columns that are named, and the box layout."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cars_bench.data.dataset import BOX_COLUMNS
from cars_bench.data.labels import Labels, as_typed, make_labels, some
from cars_bench.errors import LabelsUnusable, UsageError

FILE_WORDS = (
    *("path", "filepath", "file_path", "img_file", "image_file", "image_path", "img_path"),
    *("filename", "file_name", "image_name", "file", "image", "img"),
)
CLASS_WORDS = ("class_name", "class", "label", "category")
SUBSET_WORDS = ("subset", "split")
BOXES = ["filename", "min_x", "min_y", "max_x", "max_y", "target", "train_or_test", "car_names"]
MOSTLY_BOXES = 4
"""Columns of the layout with boxes that tell that it was meant."""


@dataclass(frozen=True)
class CsvColumns:
    """Which columns of a CSV mean what.

    Attributes:
        named: Those of the picture's path, of its class and, if a third, of its split;
            empty where the header says it.
        groups: Those that hold a property of the class, such as its make.
    """

    named: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


AS_THE_HEADER_SAYS = CsvColumns()


def parse_columns(text: str) -> tuple[str, ...]:
    """Read `path,label` or `path,label,split` as the names of columns.

    Raises:
        UsageError: Not two or three names.
    """
    names = tuple(_heading(name) for name in text.split(","))
    if len(names) not in (2, 3) or not all(names) or len(set(names)) < len(names):
        raise UsageError(
            f"--columns {text} is not two or three names of columns.",
            "--columns PATH,CLASS or --columns PATH,CLASS,SPLIT",
        )
    return names


def read_csv(path: Path, columns: CsvColumns = AS_THE_HEADER_SAYS) -> Labels:
    """Read a CSV with a path and a class in each row, or one of the layout with boxes.

    Args:
        path: The file.
        columns: Which columns to take; by default those that the header tells.

    Raises:
        LabelsUnusable: Empty, unreadable, a needed column missing, or bad values.
    """
    table = _table(path)
    boxes = not columns.named and len(set(table.columns) & set(BOXES)) >= MOSTLY_BOXES
    named = BOXES if boxes else list(columns.named or recognised(list(table.columns)))
    _require(path, table, [*named, *map(_heading, columns.groups)])
    if not named:
        raise LabelsUnusable(
            f"{path} has no columns that are plainly the path and the class of a picture "
            f"(columns found: {', '.join(table.columns)}).",
            "say which they are: --columns PATH,CLASS",
        )
    if table.empty:
        raise LabelsUnusable(f"{path} has a header but no rows.", "give a file with labels")
    _refuse_second_header(path, table[named])
    labels = _with_boxes(path, table) if boxes else _plain(path, table, named)
    found = {name: _groups(path, table[_heading(name)], labels, name) for name in columns.groups}
    return replace(labels, groups=found)


def recognised(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns of path, class and perhaps split that a header tells, or none."""
    found = [
        next((word for word in words if word in columns), None)
        for words in (FILE_WORDS, CLASS_WORDS, SUBSET_WORDS)
    ]
    if None in found[:2]:
        return ()
    return tuple(name for name in found if name is not None)


def is_label_csv(path: Path, columns: CsvColumns = AS_THE_HEADER_SAYS) -> bool:
    """Whether the header has the columns that are asked for, or tells which they are."""
    try:
        headings = list(_table(path, rows=0).columns)
    except LabelsUnusable:
        return False
    if columns.named:
        return set(headings) >= set(columns.named)
    return bool(recognised(headings)) or set(headings) >= set(BOXES)


def _heading(name: str) -> str:
    """As headers are compared: without spaces around, in small letters."""
    return name.strip().lower()


def _require(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise LabelsUnusable(
            f"{path} has no column {' and no column '.join(map(repr, missing))} "
            f"(columns found: {', '.join(table.columns)}).",
            "name columns that are there: --columns PATH,CLASS",
        )
    twice = [name for name in names if list(table.columns).count(name) > 1]
    if twice:
        raise LabelsUnusable(f"{path} has two columns {twice[0]!r}.", "rename one of them")


def _refuse_second_header(path: Path, table: pd.DataFrame) -> None:
    """Raise where a row is the header again, as in files that were joined."""
    again = (table.map(_heading) == list(table.columns)).all(axis="columns")
    if again.any():
        raise LabelsUnusable(
            f"{path} has its header again in row {int(again.to_numpy().argmax()) + 1:,}.",
            "take that row out",
        )


def _groups(path: Path, column: pd.Series[str], labels: Labels, name: str) -> dict[str, str]:
    """The value of each class that has one.

    Raises:
        LabelsUnusable: A class has two.
    """
    found: dict[str, str] = {}
    for class_name, cell in zip(labels.table["class_name"], column, strict=True):
        value = cell.strip()
        if value and found.setdefault(class_name, value) != value:
            raise LabelsUnusable(
                f"{path} gives class {class_name!r} more than one {name}: "
                f"{found[class_name]} and {value}.",
                "name a column that is the same for all pictures of a class",
            )
    return found


def _table(path: Path, rows: int | None = None) -> pd.DataFrame:
    try:
        table = _strictly_read(path, rows)
    except pd.errors.EmptyDataError as error:
        raise LabelsUnusable(f"{path} is empty.", "give a file with labels") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        raise LabelsUnusable(
            f"{path} is not a readable CSV file: {str(error).strip()}.", "save it as UTF-8 CSV"
        ) from error
    headings, *_ = table.to_numpy().tolist()
    return (
        table.iloc[1:].set_axis([*map(_heading, headings)], axis="columns").reset_index(drop=True)
    )


def _strictly_read(path: Path, rows: int | None) -> pd.DataFrame:
    """Every cell as text, the header's too; a longer row is an error, not a shift or a loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            dtype=str,
            header=None,
            keep_default_na=False,
            encoding="utf-8-sig",
            nrows=None if rows is None else rows + 1,
            skipinitialspace=True,
            index_col=False,
        )


def _plain(path: Path, table: pd.DataFrame, named: Sequence[str]) -> Labels:
    files, classes, *split = (table[name] for name in named)
    return make_labels(
        path, "csv", map(as_typed, files), classes, splits=split[0] if split else None
    )


def _with_boxes(path: Path, table: pd.DataFrame) -> Labels:
    boxes = table[BOXES[1:5]].set_axis(BOX_COLUMNS, axis="columns")
    numbers = boxes.replace("", "nan").apply(pd.to_numeric, errors="coerce")
    bad = table.loc[(numbers.isna() & (boxes != "")).any(axis="columns"), "filename"].tolist()
    if bad:
        raise LabelsUnusable(
            f"{path} has boxes that are not numbers for {len(bad):,} images: {some(bad)}.",
            "mend min_x, min_y, max_x and max_y",
        )
    _check_targets(path, table)
    return make_labels(
        path,
        "csv with boxes",
        table["filename"].map(as_typed),
        table["car_names"],
        splits=table["train_or_test"],
        boxes=numbers,
    )


def _check_targets(path: Path, table: pd.DataFrame) -> None:
    """The name is the class; the number must go with it, one to one.

    A part of a larger set keeps the larger set's numbers, so there is no upper end.
    """
    targets = pd.to_numeric(table["target"], errors="coerce")
    outside = targets.isna() | (targets < 0) | (targets % 1 != 0)
    if outside.any():
        rows = table[outside]
        raise LabelsUnusable(
            f"{path} has a class out of range in {len(rows):,} rows: target "
            f"{rows['target'].iloc[0]!r} of {rows['filename'].iloc[0]}.",
            "number the classes from 1",
        )
    pairs = table[["target", "car_names"]].drop_duplicates()
    for column, other in (("target", "car_names"), ("car_names", "target")):
        repeated = pairs.loc[pairs[column].duplicated(), column]
        if len(repeated):
            value = repeated.iloc[0]
            others = pairs.loc[pairs[column] == value, other].tolist()
            raise LabelsUnusable(
                f"{path} gives {column} {value!r} more than one {other}: {some(others)}.",
                "give each class one number and one name",
            )
