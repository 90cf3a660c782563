"""Reads the devkit's and the combined annotation .mat files of Stanford Cars.

Numbers in these files count from 1 and are turned into names through
`cars_meta.mat` (or the combined file's own `class_names`); boxes are 1-based
with both corners inside, and are turned into 0-based ones that end outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cars_bench.data.dataset import BOX_COLUMNS
from cars_bench.data.labels import Labels, as_typed, make_labels, some
from cars_bench.errors import LabelsUnusable

META_FILE = "cars_meta.mat"
META_PLACES = (".", "..", "../devkit", "devkit")
MAT_BOX_FIELDS = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]


def read_mat(path: Path) -> Labels:
    """Read `cars_train_annos.mat`, `cars_test_annos_withlabels.mat` or `cars_annos.mat`.

    Raises:
        LabelsUnusable: Corrupt, without labels, or a class out of range.
    """
    content = _load(path)
    if "annotations" not in content:
        raise LabelsUnusable(
            f"{path} holds no annotations (it holds: {', '.join(sorted(content)) or 'nothing'}).",
            "give cars_train_annos.mat, cars_test_annos_withlabels.mat or cars_annos.mat",
        )
    rows = np.atleast_1d(content["annotations"]).ravel()
    fields = rows.dtype.names or ()
    if "class" not in fields:
        raise LabelsUnusable(
            f"{path} has no labels: it is the test file without classes.",
            f"give cars_test_annos_withlabels.mat in place of {path.name}",
        )
    file_field = "relative_im_path" if "relative_im_path" in fields else "fname"
    needed = [file_field, "class", *MAT_BOX_FIELDS]
    missing = [name for name in needed if name not in fields]
    if missing:
        raise LabelsUnusable(
            f"{path} has no field {missing[0]!r} (fields found: {', '.join(fields)}).",
            "give the devkit's own file",
        )
    return _labels(path, rows, file_field, _class_names(path, content))


def _labels(path: Path, rows: np.ndarray, file_field: str, names: list[str]) -> Labels:
    files = [as_typed(name) for name in rows[file_field]]
    classes = _named(path, files, rows["class"], names)
    boxes = pd.DataFrame(
        {
            own: [float(value) for value in rows[field]]
            for own, field in zip(BOX_COLUMNS, MAT_BOX_FIELDS, strict=True)
        }
    )
    boxes[["x1", "y1"]] -= 1
    splits = None
    if "test" in (rows.dtype.names or ()):
        splits = ["test" if int(value) else "train" for value in rows["test"]]
    return make_labels(path, "mat", files, classes, splits=splits, boxes=boxes)


def _named(path: Path, files: list[str], numbers: Any, names: list[str]) -> list[str]:
    integers = [int(number) for number in numbers]
    outside = [
        f"{n} ({f})" for n, f in zip(integers, files, strict=True) if not 1 <= n <= len(names)
    ]
    if outside:
        raise LabelsUnusable(
            f"{path} has a class out of range 1 to {len(names)} in {len(outside):,} rows: "
            f"{some(outside)}.",
            "give the file and the cars_meta.mat that belong together",
        )
    return [names[number - 1] for number in integers]


def _class_names(path: Path, content: dict[str, Any]) -> list[str]:
    if "class_names" in content:
        return [str(name) for name in np.atleast_1d(content["class_names"]).ravel()]
    places = [path.parent / place / META_FILE for place in META_PLACES]
    meta = next((place for place in places if place.is_file()), None)
    if meta is None:
        raise LabelsUnusable(
            f"{path} numbers its classes, and {META_FILE} with their names is not beside it.",
            f"put {META_FILE} into {path.parent}",
        )
    found = _load(meta)
    if "class_names" not in found:
        raise LabelsUnusable(f"{meta} holds no class_names.", "give the devkit's own file")
    return [str(name) for name in np.atleast_1d(found["class_names"]).ravel()]


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    with path.open("rb"):  # a file that cannot be opened is another error than a bad one
        try:
            content = loadmat(path, squeeze_me=True)
        except Exception as error:
            # scipy raises a dozen kinds of exception for a damaged file
            reason = str(error).strip() or type(error).__name__
            raise LabelsUnusable(
                f"{path} is corrupt or no MATLAB file ({reason}).", "download the file again"
            ) from error
    return {key: value for key, value in content.items() if not key.startswith("__")}
