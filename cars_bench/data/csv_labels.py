"""Reads the two CSV layouts: `img_file,class,subset` and the one with boxes."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

from cars_bench.data.dataset import BOX_COLUMNS
from cars_bench.data.labels import Labels, make_labels, some
from cars_bench.errors import LabelsUnusable

PLAIN = ["img_file", "class"]
BOXES = ["filename", "min_x", "min_y", "max_x", "max_y", "target", "train_or_test", "car_names"]
LAYOUTS = f"{','.join(PLAIN)},subset or {','.join(BOXES)}"


def read_csv(path: Path) -> Labels:
    """Read a CSV of either layout; `subset` may be absent.

    Raises:
        LabelsUnusable: Empty, unreadable, a needed column missing, or bad values.
    """
    table = _table(path)
    columns = set(table.columns)
    wanted = PLAIN if len(columns & set(PLAIN)) >= len(columns & set(BOXES)) else BOXES
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise LabelsUnusable(
            f"{path} has no column {' and no column '.join(map(repr, missing))} "
            f"(columns found: {', '.join(table.columns)}).",
            f"name the columns {LAYOUTS}",
        )
    if table.empty:
        raise LabelsUnusable(f"{path} has a header but no rows.", "give a file with labels")
    return _plain(path, table) if wanted is PLAIN else _with_boxes(path, table)


def is_label_csv(path: Path) -> bool:
    """Whether the header has the columns of one of the layouts."""
    try:
        columns = set(_table(path, rows=0).columns)
    except LabelsUnusable:
        return False
    return columns >= set(PLAIN) or columns >= set(BOXES)


def _table(path: Path, rows: int | None = None) -> pd.DataFrame:
    try:
        table = _strictly_read(path, rows)
    except pd.errors.EmptyDataError as error:
        raise LabelsUnusable(f"{path} is empty.", "give a file with labels") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        raise LabelsUnusable(
            f"{path} is not a readable CSV file: {str(error).strip()}.", "save it as UTF-8 CSV"
        ) from error
    table.columns = pd.Index([str(name).strip().lower() for name in table.columns])
    return table


def _strictly_read(path: Path, rows: int | None) -> pd.DataFrame:
    """Every cell as text; a row longer than the header is an error, not a shift or a loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            nrows=rows,
            skipinitialspace=True,
            index_col=False,
        )


def _plain(path: Path, table: pd.DataFrame) -> Labels:
    return make_labels(path, "csv", table["img_file"], table["class"], splits=table.get("subset"))


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
        table["filename"],
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
