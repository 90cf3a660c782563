"""Pictures that a dataset holds more than once, byte for byte: in which splits, under which labels.

A test image that is also a training image measures memory; one file under two
labels teaches, or counts as an error, what is a slip of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SAID = "byte for byte"
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}
PLACES = (
    ("test", "train"),
    ("test", "val"),
    ("val", "train"),
    ("test", "test"),
    ("val", "val"),
    ("train", "train"),
)
MEND_LABELS = (
    "correct the labels or drop the rows in the source, then cars-bench prepare SOURCE again"
)
DROP_COPIES = "drop the copies from the source, then cars-bench prepare SOURCE again"


@dataclass(frozen=True)
class Copies:
    """Images of one split whose very bytes stand in another, or in the same one.

    Attributes:
        split: Whose images they are.
        other: Where their bytes stand too; within one split only another label counts.
        names: Image ids.
        relabelled: How many of them stand there under another label.
    """

    split: str
    other: str
    names: tuple[str, ...]
    relabelled: int

    @property
    def text(self) -> str:
        """The finding as a clause of a sentence."""
        one = len(self.names) == 1
        many = f"{SPLIT_NAMES[self.other]} images"
        here = f"{len(self.names):,} {SPLIT_NAMES[self.split]} image{'' if one else 's'}"
        if self.split == self.other:
            return f"{here} are {SAID} other {many} under another label"
        there = f"is {SAID} a {many[:-1]}" if one else f"are {SAID} {many}"
        return f"{here} {there}{self._labels()}"

    def _labels(self) -> str:
        count = self.relabelled
        total = len(self.names)
        if not count:
            return ""
        if count < total:
            return f", {count:,} of them under another label"
        whole = {1: "", 2: "both "}.get(total, f"all {total:,} ")
        return f", {whole}under another label"


def find_copies(table: pd.DataFrame) -> list[Copies]:
    """What stands twice, in the order of `PLACES`; empty where nothing does.

    Args:
        table: With columns `image_id`, `split`, `class_name` and `sha256`.
    """
    own = dict(zip(table["image_id"], table["class_name"], strict=True))
    found = []
    for split, other in PLACES:
        labels = labels_elsewhere(table, split, other)
        if labels:
            relabelled = sum(any(name != own[i] for name in names) for i, names in labels.items())
            found.append(Copies(split, other, tuple(labels), relabelled))
    return found


def labels_elsewhere(table: pd.DataFrame, split: str, other: str) -> dict[str, list[str]]:
    """The classes under which the bytes of a split's images stand in another split, by image.

    Within one split (`split == other`) only the classes that are not the image's own.
    """
    here, there = (
        table.loc[table["split"] == name, ["image_id", "class_name", "sha256"]]
        for name in (split, other)
    )
    classes = there[["class_name", "sha256"]].drop_duplicates()
    pairs = here.merge(classes, on="sha256", suffixes=("", "_there"))
    if split == other:
        pairs = pairs[pairs["class_name"] != pairs["class_name_there"]]
    groups = pairs.sort_values("image_id").groupby("image_id")["class_name_there"]
    return {str(image): sorted(names) for image, names in groups}


def sentence(copies: list[Copies]) -> str:
    """All of it in one sentence, without its full stop."""
    return "; ".join(item.text for item in copies)


def remedy(copies: list[Copies]) -> str:
    """What to do about it."""
    return MEND_LABELS if any(item.relabelled for item in copies) else DROP_COPIES


def same_files(table: pd.DataFrame, copies: list[Copies]) -> list[str]:
    """A line a picture, such as `a.jpg (test, Audi) = b.jpg (train, BMW)`."""
    names = {name for item in copies for name in item.names}
    digests = table.loc[table["image_id"].isin(names), "sha256"]
    rows = table[table["sha256"].isin(digests)].sort_values(["split", "image_id"])
    said = rows["image_id"] + " (" + rows["split"] + ", " + rows["class_name"] + ")"
    return sorted(" = ".join(lines) for _, lines in said.groupby(rows["sha256"]))
