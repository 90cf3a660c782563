"""A prepared dataset: one table, one split, one card.

On disk, `cache/datasets/NAME/` holds `dataset.csv` and `card.json`; the card
is written last, so a folder without one is not a dataset.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cars_bench import SCHEMA_VERSION
from cars_bench.data.images import Box
from cars_bench.errors import DatasetMissing
from cars_bench.workspace import Workspace, atomic_file, write_json

if TYPE_CHECKING:
    import pandas as pd

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
TABLE_FILE, CARD_FILE = "dataset.csv", "card.json"
PREPARE = "cars-bench prepare SOURCE, or cars-bench prepare --demo"


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Dataset:
    """Images, labels and split, as `prepare` left them.

    Attributes:
        name: Folder name under `cache/datasets/`.
        folder: Where the table and the card are.
        table: One row an image with the columns `COLUMNS`: `path` is absolute,
            `label` int64 from 0, the box float64 in pixels of the upright
            original (NaN where the source has none).
        card: Counts, source, split and quarantine, as in `card.json`.
    """

    name: str
    folder: Path
    table: pd.DataFrame
    card: dict[str, Any]

    @classmethod
    def load(cls, workspace: Workspace, name: str | None = None) -> Dataset:
        """Open a prepared dataset, by default the last one made or used.

        Raises:
            DatasetMissing: None was prepared, it is unfinished, or it was edited since.
        """
        chosen = name or workspace.settings().get("dataset", {}).get("name")
        if not chosen:
            raise DatasetMissing("No dataset has been prepared here yet.", PREPARE)
        folder = workspace.datasets / chosen
        if not (folder / CARD_FILE).is_file():
            raise DatasetMissing(
                f"There is no dataset named {chosen!r}{_known(workspace)}.", PREPARE
            )
        dataset = cls(chosen, folder, _read_table(folder), _read_card(folder))
        if dataset.digest != dataset.card.get("digest"):
            raise DatasetMissing(
                f"{folder / TABLE_FILE} is not the table that its card describes; "
                "it was edited or only half replaced.",
                "run prepare again",
            )
        return dataset

    @property
    def crop(self) -> str:
        """What each image is cut to before it is resized: `none` or `boxes`."""
        return str(self.card["crop"])

    @cached_property
    def class_names(self) -> list[str]:
        """Class names; the index is the label."""
        pairs = self.table[["label", "class_name"]].drop_duplicates().sort_values("label")
        return [str(name) for name in pairs["class_name"]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything about the images but where they lie."""
        return digest_of(self.table)

    def split(self, name: Split) -> pd.DataFrame:
        """Rows of one split, in the order of `image_id`."""
        rows = self.table[self.table["split"] == name]
        return rows.sort_values("image_id").reset_index(drop=True)

    def records(self, name: Split) -> list[ImageRecord]:
        """The split's images in the order of `split`, with the box to crop to, if any."""
        rows = self.split(name)
        boxes = _boxes(rows) if self.crop == "boxes" else [None] * len(rows)
        named = (rows[column] for column in ("image_id", "path", "label"))
        fields = zip(*named, boxes, rows["sha256"], strict=True)
        return [ImageRecord(str(i), Path(p), int(n), box, d) for i, p, n, box, d in fields]


def write_dataset(folder: Path, table: pd.DataFrame, card: dict[str, Any]) -> None:
    """Replace the dataset in `folder`: table first, card (the done mark) last.

    Images that lie inside `folder` are stored by relative path, so that a
    workspace can be moved.
    """
    stored = table[COLUMNS].copy()
    stored["path"] = [_portable(path, folder) for path in stored["path"]]
    for column in BOX_COLUMNS:
        stored[column] = [_whole(value) for value in stored[column]]
    with atomic_file(folder / TABLE_FILE, "w") as stream:
        stored.to_csv(stream, index=False, lineterminator="\n")
        (folder / CARD_FILE).unlink(missing_ok=True)
    digest = digest_of(table)
    write_json(folder / CARD_FILE, {"schema_version": SCHEMA_VERSION} | card | {"digest": digest})


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


def _boxes(rows: pd.DataFrame) -> list[Box | None]:
    values = rows[BOX_COLUMNS].to_numpy(float)
    return [
        None if box[0] != box[0] else (box[0], box[1], box[2], box[3]) for box in values.tolist()
    ]


def _read_table(folder: Path) -> pd.DataFrame:
    # Slow to import, and commands that read no table need to know where things are too.
    import pandas as pd

    table = pd.read_csv(folder / TABLE_FILE, dtype=str, keep_default_na=False)
    for column in ("label", "width", "height"):
        table[column] = table[column].astype("int64")
    for column in BOX_COLUMNS:
        table[column] = pd.to_numeric(table[column]).astype("float64")
    table["path"] = [os.path.normpath(folder / path) for path in table["path"]]
    return table


def _read_card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    return card


def _known(workspace: Workspace) -> str:
    names = sorted(path.parent.name for path in workspace.datasets.glob(f"*/{CARD_FILE}"))
    return f" (there are: {', '.join(names)})" if names else ""


def _portable(path: str, folder: Path) -> str:
    whole = Path(path)
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else path


def _whole(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"
