"""What every reader gives: one table of labelled file names, whatever the layout."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
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
HIDDEN_KINDS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of characters that are not seen, or turn what stands around them."""
SILENT = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c\u200d\u3164\ufe00-\ufe0f\uffa0]"
)
"""Not seen either, but parts of words and pictures in some scripts."""


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
        root: The image root, where the source names images by their whole paths.
    """

    source: Path
    layout: str
    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    root: Path | None = None

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
        files: Posix paths under some image root, or all of them whole; to the letter.
        class_names: Class of each file.
        splits: Split of each file in any known word; `None` where the source has none.
        boxes: Columns `BOX_COLUMNS` in pixels, a row a file; `None` where there are none.

    Raises:
        LabelsUnusable: No rows, a class that is empty, hidden or looks like another, two
            rows for one image, an unknown split, or a file name that leaves the image
            folder or is not text.
    """
    below, root = _rooted(list(files))
    names = [_posix(source, name) for name in below]
    table = pd.DataFrame({"file": pd.Series(names, dtype=object)})
    if table.empty:
        raise LabelsUnusable(f"{source} holds no labelled image.", "give a source with images")
    table["class_name"] = [_plain(str(name)) for name in class_names]
    table["split"] = _splits(source, splits) if splits is not None else ""
    for column in BOX_COLUMNS:
        table[column] = boxes[column].to_numpy(float) if boxes is not None else float("nan")
    _refuse_empty_classes(source, table)
    _refuse_hidden_classes(source, table)
    _refuse_repeats(source, table)
    return Labels(source, layout, table[LABEL_COLUMNS], root=root)


def some(names: Sequence[str], shown: int = 3) -> str:
    """The first few names, for a message: `a, b, c and 4 more`."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest:,} more" if rest > 0 else "")


def as_typed(name: object) -> str:
    """A file name as label files have it: perhaps with spaces around, perhaps of Windows."""
    return str(name).strip().replace("\\", "/")


def _rooted(names: list[str]) -> tuple[list[str], Path | None]:
    """Whole paths as paths under the deepest folder that holds them all, and that folder."""
    paths = [PurePosixPath(name) for name in names]
    if not paths or not all(path.is_absolute() and ".." not in path.parts for path in paths):
        return names, None
    root = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(root).as_posix() for path in paths], Path(root)


def _posix(source: Path, name: str) -> str:
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts:
        raise LabelsUnusable(
            f"{source} names an image outside the image folder: {name!r}.",
            "name images relative to the image folder",
        )
    if _is_hidden(name, ("Cs",)) or "\0" in name:
        raise LabelsUnusable(
            f"{source} names an image whose name is not UTF-8 text: {name!a}.", "rename it"
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


def _refuse_hidden_classes(source: Path, table: pd.DataFrame) -> None:
    """Raise where a name cannot be read as it is, or reads like another."""
    names = sorted(set(table["class_name"]))
    hidden = [name for name in names if _is_hidden(name, HIDDEN_KINDS) or not _as_seen(name)]
    seen = Counter(map(_as_seen, names))
    alike = [name for name in names if seen[_as_seen(name)] > 1]
    for found, problem in ((hidden, "have characters that are not seen"), (alike, "look alike")):
        if found:
            raise LabelsUnusable(
                f"{source} has classes whose names {problem}: {some([*map(ascii, found)])}.",
                "rename them",
            )


def _is_hidden(text: str, kinds: Sequence[str]) -> bool:
    return any(
        unicodedata.category(letter) in kinds and not SILENT.match(letter) for letter in text
    )


def _as_seen(name: str) -> str:
    return " ".join(SILENT.sub("", name).split())


def _refuse_repeats(source: Path, table: pd.DataFrame) -> None:
    repeated = table.loc[table["file"].duplicated(), "file"].drop_duplicates().tolist()
    if repeated:
        raise LabelsUnusable(
            f"{source} has two rows or more for {len(repeated):,} images: {some(repeated)}.",
            "keep one row an image",
        )
