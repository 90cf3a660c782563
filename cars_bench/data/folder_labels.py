"""Reads one folder a class, optionally under train/, val/ and test/."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cars_bench.data.labels import SPLIT_WORDS, Labels, make_labels, some
from cars_bench.errors import LabelsUnusable

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
)


def read_folders(root: Path) -> Labels:
    """Read `root/CLASS/**/image` or `root/SPLIT/CLASS/**/image`; the folder's name is the class.

    Hidden files and files without an image's suffix are left out and counted.

    Raises:
        LabelsUnusable: No class folder holds an image.
    """
    files = sorted(path.relative_to(root).as_posix() for path in _files(root))
    nested = [name for name in files if "/" in name]
    images = [name for name in nested if is_image_name(name)]
    if not images:
        raise LabelsUnusable(
            f"{root} holds no label file (CSV or .mat) and no class folders with images.",
            "give a folder with labels, or one folder a class, or --labels FILE",
        )
    by_split = _top_folders_are_splits(images)
    depth = 1 if by_split else 0
    classes = [name.split("/")[depth] for name in images]
    splits = [name.split("/")[0] for name in images] if by_split else None
    labels = make_labels(root, "folders", images, classes, splits=splits)
    others = [name for name in files if not is_image_name(name)]
    if others:
        labels.notes.append(f"{len(others):,} files without an image's suffix: {some(others)}")
    return labels


def class_folders(root: Path) -> list[str]:
    """Names of the subfolders of `root` with an image somewhere below."""
    parts = (path.relative_to(root).parts for path in _files(root) if is_image_name(path.name))
    return sorted({part[0] for part in parts if len(part) > 1})


def is_image_name(name: str) -> bool:
    """Whether the suffix is that of an image format."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _top_folders_are_splits(images: list[str]) -> bool:
    """Whether the first folders are `train`, `test` and so on, each with class folders below."""
    folders = [name.split("/")[:-1] for name in images]
    return all(part[0].lower() in SPLIT_WORDS and len(part) > 1 for part in folders)


def _files(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder) / name
