"""Reads one folder a class, optionally under train/, val/ and test/, or in a folder of its own."""

from __future__ import annotations

import re
import shlex
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath

from cars_bench.data.labels import SPLIT_WORDS, Labels, make_labels, some
from cars_bench.errors import LabelsUnusable
from cars_bench.progress import plural

IMAGE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
        *(".avif", ".heic", ".heif"),
    )
)
LITTER = frozenset(("__macosx", "@eadir", "$recycle.bin", "lost+found"))
"""Folders that archives and file servers leave behind; hidden ones are passed over anyway."""

Parts = tuple[str, ...]


@dataclass(frozen=True)
class _Tree:
    """The pictures below one folder.

    Attributes:
        root: The folder.
        pictures: Parts of each picture's path below `root`, sorted.
        others: Other files, likewise.
        again: Links to folders that are read already, likewise.
    """

    root: Path
    pictures: list[Parts]
    others: list[Parts]
    again: list[Parts]

    @property
    def tops(self) -> dict[str, list[Parts]]:
        """The pictures of each subfolder, as their paths below that."""
        found: dict[str, list[Parts]] = {}
        for parts in self.pictures:
            if len(parts) > 1:
                found.setdefault(parts[0], []).append(parts[1:])
        return found

    def below(self, name: str) -> _Tree:
        """The subfolder called `name`."""
        pictures, others, again = (
            [parts[1:] for parts in found if parts[0] == name and len(parts) > 1]
            for found in (self.pictures, self.others, self.again)
        )
        return _Tree(self.root / name, pictures, others, again)


@dataclass(frozen=True)
class _Rows:
    """What becomes of the pictures: each file, its class and its split, and what to say."""

    files: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, parts: Parts, class_name: str, split: str = "") -> None:
        self.files.append("/".join(parts))
        self.classes.append(class_name)
        self.splits.append(split)


def read_folders(root: Path) -> Labels:
    """Read `root/CLASS/**/image` or `root/SPLIT/CLASS/**/image`; the folder's name is the class.

    A folder that holds nothing but one folder of class folders is passed through, so
    the labels' `source` may lie below `root`.  Folders called train, valid, test and so
    on are splits where their subfolders have names in common; what stands beside them
    is left out.  Whatever is left out or guessed is in the notes.

    Raises:
        LabelsUnusable: No class folder holds an image.
    """
    tree = _inner(_tree(root))
    _refuse_flat(tree)
    splits = _splits_of(tree)
    rows = _by_split(tree, splits) if splits else _by_class(tree)
    if tree.root != root:
        rows.notes.insert(0, f"{root} holds only one folder: the classes are those in {tree.root}.")
    if tree.others:
        names = ["/".join(parts) for parts in tree.others]
        rows.notes.append(f"{plural(len(names), 'file')} without an image's suffix: {some(names)}")
    if tree.again:
        links = ["/".join(parts) for parts in tree.again]
        rows.notes.append(
            f"{plural(len(links), 'link')} to folders that are read already, left out: "
            f"{some(links)}"
        )
    labels = make_labels(
        tree.root, "folders", rows.files, rows.classes, splits=rows.splits if splits else None
    )
    labels.notes.extend(rows.notes)
    return labels


def class_folders(root: Path) -> list[str]:
    """Names of the folders that `read_folders` would take for classes."""
    try:
        return sorted(set(read_folders(root).table["class_name"]))
    except LabelsUnusable:
        return []


def is_image_name(name: str) -> bool:
    """Whether the suffix is that of an image format."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _tree(root: Path) -> _Tree:
    files, again = (sorted(path.relative_to(root).parts for path in found) for found in _walk(root))
    pictures = [parts for parts in files if is_image_name(parts[-1])]
    return _Tree(root, pictures, [parts for parts in files if not is_image_name(parts[-1])], again)


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """The files below `root`, and the links that are left out.

    Each folder is read once, however many links lead to it or around it: by its own name
    where it has one in the tree, which is why links come last.  No link leads up.

    Raises:
        OSError: A folder cannot be read.
    """
    files: list[Path] = []
    again: list[Path] = []
    seen = {_identity(above) for above in root.resolve().parents}
    folders = deque([root])
    links: deque[Path] = deque()
    while folders or links:
        folder = (folders or links).popleft()
        if _identity(folder) in seen:
            again.append(folder)
            continue
        seen.add(_identity(folder))
        for path in sorted(folder.iterdir()):
            if not path.is_dir():
                files += [] if path.name.startswith(".") else [path]
            elif not _is_litter(path.name):
                (links if path.is_symlink() else folders).append(path)
    return files, again


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _is_litter(folder: str) -> bool:
    return folder.startswith(".") or folder.lower() in LITTER


def _inner(tree: _Tree) -> _Tree:
    """Pass through folders that hold only one folder, down to the classes or splits.

    One class alone is nothing to learn, so this never takes a good layout for another.
    """
    while len(tree.tops) == 1:
        ((name, pictures),) = tree.tops.items()
        if name.lower() in SPLIT_WORDS or any(len(parts) == 1 for parts in pictures):
            return tree
        tree = tree.below(name)
    return tree


def _refuse_flat(tree: _Tree) -> None:
    """Raise where no folder can be a class: no pictures at all, or none in class folders."""
    tops = tree.tops
    if not tree.pictures:
        raise LabelsUnusable(
            f"{tree.root} holds no label file (CSV or .mat) and no class folders with images.",
            "give a folder with labels, or one folder a class, or --labels FILE",
        )
    fix = "make a folder for each class and put its pictures there, or give --labels FILE"
    if not tops:
        raise LabelsUnusable(
            f"{tree.root} holds {plural(len(tree.pictures), 'picture')} and no class folders: "
            "each class needs a folder of its own.",
            fix,
        )
    if all(name.lower() in SPLIT_WORDS and not _classes(tops[name]) for name in tops):
        raise LabelsUnusable(
            f"{some([f'{name}/' for name in tops])} in {tree.root} "
            f"{'hold' if len(tops) > 1 else 'holds'} pictures without class folders: below "
            "a split, each class needs a folder of its own.",
            fix,
        )


def _classes(pictures: Sequence[Parts]) -> set[str]:
    """Names of the subfolders with pictures."""
    return {parts[0] for parts in pictures if len(parts) > 1}


def _splits_of(tree: _Tree) -> dict[str, str]:
    """The split that each top folder means; empty where they are classes.

    Names that are a split's word come first (`Train`, `valid`); only where those make no
    split are names taken that contain one (`seg_train`, `cars-test`).  Two or more of
    them must have a class in common, so that a class called `test` stays one.
    """
    tops = tree.tops
    exact = {name: SPLIT_WORDS[name.lower()] for name in tops if name.lower() in SPLIT_WORDS}
    if set(exact) == set(tops) or _is_split(tops, exact):
        return exact
    within = {name: word for name in tops if (word := _split_within(name))}
    return within if _is_split(tops, within) else {}


def _split_within(name: str) -> str:
    words = {SPLIT_WORDS[word] for word in _words(name) if word in SPLIT_WORDS}
    return words.pop() if len(words) == 1 else ""


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", name.lower())


def _is_split(tops: dict[str, list[Parts]], splits: dict[str, str]) -> bool:
    """Whether these top folders are splits of one set of classes."""
    classes = {name: _classes(_unwrapped(name, tops[name])) for name in splits}
    labelled = [name for name in splits if classes[name]]
    flat = [name for name in splits if not classes[name]]
    if flat and [splits[name] for name in labelled] == ["train"]:
        return len(classes[labelled[0]]) > 1  # train/CLASS/ beside unlabelled pictures to predict
    shared = {
        class_name
        for name in labelled
        for other in labelled
        if splits[name] != splits[other]
        for class_name in classes[name] & classes[other]
    }
    return bool(shared)


def _unwrapped(name: str, pictures: list[Parts]) -> list[Parts]:
    """The pictures of `seg_train/seg_train/CLASS/` as those of `seg_train/CLASS/`."""
    if all(len(parts) > 1 and parts[0] == name for parts in pictures):
        return [parts[1:] for parts in pictures]
    return pictures


def _by_class(tree: _Tree) -> _Rows:
    rows = _Rows()
    tops = tree.tops
    for parts in tree.pictures:
        if len(parts) > 1:
            rows.add(parts, parts[0])
    loose = ["/".join(parts) for parts in tree.pictures if len(parts) == 1]
    if loose:
        rows.notes.append(
            f"{plural(len(loose), 'picture')} in no class folder, left out: {some(loose)}"
        )
    nested = [
        name
        for name, pictures in tops.items()
        if len(_classes(pictures)) > 1 and all(len(parts) > 1 for parts in pictures)
    ]
    if nested:
        inner = tree.root / nested[0]
        rows.notes.append(
            f"{some([f'{name}/' for name in nested])} taken for one class each, though "
            f"{nested[0]}/ holds {len(_classes(tops[nested[0]])):,} folders of pictures; "
            f"if those are the classes: cars-bench prepare {shlex.quote(str(inner))}"
        )
    return rows


def _by_split(tree: _Tree, splits: dict[str, str]) -> _Rows:
    rows = _Rows()
    for name, pictures in tree.tops.items():
        if name not in splits:
            rows.notes.append(
                f"{name}/ left out ({plural(len(pictures), 'picture')}): it stands beside "
                f"{some([f'{split}/' for split in splits], len(splits))} and is no split"
            )
            continue
        classed = _unwrapped(name, pictures)
        for parts, inner in zip(pictures, classed, strict=True):
            if len(inner) > 1:
                rows.add((name, *parts), inner[0], splits[name])
        loose = sum(len(inner) == 1 for inner in classed)
        if loose:
            rows.notes.append(
                f"{plural(loose, 'picture')} in {name}/ in no class folder, so without a label: "
                f"left out; for later: cars-bench predict {shlex.quote(str(tree.root / name))}"
            )
    loose_files = ["/".join(parts) for parts in tree.pictures if len(parts) == 1]
    if loose_files:
        rows.notes.append(
            f"{plural(len(loose_files), 'picture')} in no split, left out: {some(loose_files)}"
        )
    return _with_class_notes(rows)


def _with_class_notes(rows: _Rows) -> _Rows:
    """Say which classes stand in train alone, and which differ in case alone."""
    found: dict[str, set[str]] = {}
    for class_name, split in zip(rows.classes, rows.splits, strict=True):
        found.setdefault(class_name, set()).add(split)
    several = len(set(rows.splits)) > 1
    lone = sorted(name for name, splits in found.items() if several and splits == {"train"})
    if lone:
        rows.notes.append(f"{plural(len(lone), 'class')} in train alone: {some(lone)}")
    by_case = sorted(sorted(found), key=str.casefold)
    same = [
        f"{first} and {second}"
        for first, second in pairwise(by_case)
        if first.casefold() == second.casefold()
    ]
    if same:
        rows.notes.append(f"two classes whose names differ in case alone: {some(same)}")
    return rows
