"""Reads the devkit's and the combined annotation .mat files of Stanford Cars.

Numbers in these files count from 1 and are turned into names through
`cars_meta.mat` (or the combined file's own `class_names`); boxes are 1-based
with both corners inside, and are turned into 0-based ones that end outside.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cars_bench.data.dataset import BOX_COLUMNS
from cars_bench.data.labels import Labels, as_typed, make_labels, some
from cars_bench.documents import from_json
from cars_bench.errors import LabelsUnusable

META_FILE = "cars_meta.mat"
META_PLACES = (".", "..", "../devkit", "devkit")
MAT_BOX_FIELDS = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
READER = Path(__file__).with_name("mat_reader.py")
LONGEST_SECONDS = 300
"""Of reading one file, however busy the machine."""
DEVKIT = "give the devkit's own file"


@dataclass(frozen=True)
class _Content:
    """What `mat_reader.py` says of a file.

    Attributes:
        variables: Names of all that it holds.
        fields: Names of the annotations' fields.
        columns: Cells of the fields that matter, one a row: numbers and texts, and the
            shape of anything else.
        class_names: Likewise; none where it has none.
    """

    variables: list[str]
    fields: list[str]
    columns: dict[str, list[Any]]
    class_names: list[Any]


def read_mat(path: Path) -> Labels:
    """Read `cars_train_annos.mat`, `cars_test_annos_withlabels.mat` or `cars_annos.mat`.

    Raises:
        LabelsUnusable: Corrupt, without labels, a class out of range, or a field that is
            no number or no text.
    """
    content = _load(path)
    if "annotations" not in content.variables:
        raise LabelsUnusable(
            f"{path} holds no annotations (it holds: {', '.join(content.variables) or 'nothing'}).",
            "give cars_train_annos.mat, cars_test_annos_withlabels.mat or cars_annos.mat",
        )
    if "class" not in content.fields:
        raise LabelsUnusable(
            f"{path} has no labels: it is the test file without classes.",
            f"give cars_test_annos_withlabels.mat in place of {path.name}",
        )
    file_field = "relative_im_path" if "relative_im_path" in content.fields else "fname"
    missing = [name for name in (file_field, *MAT_BOX_FIELDS) if name not in content.fields]
    if missing:
        raise LabelsUnusable(
            f"{path} has no field {missing[0]!r} (fields found: {', '.join(content.fields)}).",
            DEVKIT,
        )
    return _labels(path, content, file_field, _class_names(path, content))


def _labels(path: Path, content: _Content, file_field: str, names: list[str]) -> Labels:
    files = [as_typed(name) for name in _texts(path, file_field, content.columns[file_field])]
    classes = _named(path, files, _numbers(path, "class", content), names)
    boxes = pd.DataFrame(
        {
            own: _numbers(path, field, content)
            for own, field in zip(BOX_COLUMNS, MAT_BOX_FIELDS, strict=True)
        }
    )
    boxes[["x1", "y1"]] -= 1
    splits = None
    if "test" in content.fields:
        splits = ["test" if value else "train" for value in _numbers(path, "test", content)]
    return make_labels(path, "mat", files, classes, splits=splits, boxes=boxes)


def _named(path: Path, files: list[str], numbers: list[float], names: list[str]) -> list[str]:
    known = {float(number): name for number, name in enumerate(names, 1)}
    outside = [f"{n:g} ({f})" for n, f in zip(numbers, files, strict=True) if n not in known]
    if outside:
        raise LabelsUnusable(
            f"{path} has a class out of range 1 to {len(names)} in {len(outside):,} rows: "
            f"{some(outside)}.",
            "give the file and the cars_meta.mat that belong together",
        )
    return [known[number] for number in numbers]


def _class_names(path: Path, content: _Content) -> list[str]:
    if "class_names" in content.variables:
        return _texts(path, "class_names", content.class_names)
    places = [path.parent / place / META_FILE for place in META_PLACES]
    meta = next((place for place in places if place.is_file()), None)
    if meta is None:
        raise LabelsUnusable(
            f"{path} numbers its classes, and {META_FILE} with their names is not beside it.",
            f"put {META_FILE} into {path.parent}",
        )
    found = _load(meta)
    if "class_names" not in found.variables:
        raise LabelsUnusable(f"{meta} holds no class_names.", DEVKIT)
    return _texts(meta, "class_names", found.class_names)


def _texts(path: Path, field: str, cells: list[Any]) -> list[str]:
    for row, cell in enumerate(cells, 1):
        if not isinstance(cell, str):
            raise _wrong(path, row, field, "text", cell)
    return cells


def _numbers(path: Path, field: str, content: _Content) -> list[float]:
    cells = content.columns[field]
    for row, cell in enumerate(cells, 1):
        if not isinstance(cell, int | float) or not math.isfinite(cell):
            raise _wrong(path, row, field, "a number", cell)
    return [float(cell) for cell in cells]


def _wrong(path: Path, row: int, field: str, wanted: str, cell: Any) -> LabelsUnusable:
    found = f"an array [{', '.join(map(str, cell))}]" if isinstance(cell, list) else repr(cell)
    return LabelsUnusable(f"{path} row {row:,}: {field} must be {wanted}, got {found}.", DEVKIT)


def _load(path: Path) -> _Content:
    said = _said(path)
    if "error" in said:
        raise _corrupt(path, said["error"])
    return from_json(_Content, said)


def _said(path: Path) -> dict[str, Any]:
    """What the reader says, a process of its own as scipy may crash."""
    with path.open("rb") as stream:
        try:
            done = subprocess.run(
                (sys.executable, "-P", str(READER)),
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                stdin=stream,
                capture_output=True,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _corrupt(path, f"reading it takes over {LONGEST_SECONDS} seconds") from error
    if done.returncode:
        raise _corrupt(path, f"reading it ended with {_ending(done.returncode)}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _ending(code: int) -> str:
    known = {-number.value: number.name for number in signal.Signals}
    return known.get(code, f"exit code {code}")


def _corrupt(path: Path, reason: str) -> LabelsUnusable:
    return LabelsUnusable(
        f"{path} is corrupt or no MATLAB file ({reason}).", "download the file again"
    )
