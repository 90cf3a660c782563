"""Finds the labels and the image folder that belong to what a person typed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cars_bench.data.csv_labels import AS_THE_HEADER_SAYS, CsvColumns, is_label_csv, read_csv
from cars_bench.data.folder_labels import class_folders, read_folders
from cars_bench.data.labels import Labels, some
from cars_bench.data.mat_labels import read_mat
from cars_bench.errors import InputError, LabelsUnusable, UsageError

IMAGE_FOLDERS = ("", "car_ims", "images", "cars_train", "cars_test", "imgs", "photos")
MAT_FOLDERS = ("", "devkit", "annotations")
MAT_FILES = ("cars_annos.mat", "cars_train_annos.mat", "cars_test_annos_withlabels.mat")
SAMPLE = 200


@dataclass(frozen=True)
class Located:
    """Labels, and the folder that their file names start from.

    Attributes:
        labels: As the reader gave them.
        images: Image root.
    """

    labels: Labels
    images: Path


def locate(
    source: Path | None,
    labels: Path | None,
    images: Path | None,
    columns: CsvColumns = AS_THE_HEADER_SAYS,
) -> Located:
    """Read the labels and find their images.

    Args:
        source: A folder, or a label file.
        labels: The label file, where `source` is not it.
        images: The image root, where it cannot be guessed.
        columns: Which columns of a CSV mean what, where its header does not tell.

    Raises:
        InputError: A path does not exist, or no label or image is found.
    """
    for path in (source, labels, images):
        if path is not None and not path.exists():
            raise InputError(f"There is no {path}.", "give a folder or a label file that exists")
    if images is not None and not images.is_dir():
        raise InputError(f"{images} is not a folder.", "--images FOLDER")
    given = labels or source or images
    if given is None:
        raise InputError("Nothing to prepare.", "cars-bench prepare SOURCE, or --demo")
    if given.is_dir():
        return _from_folder(given, images, columns)
    if not given.is_file():  # a named pipe would be waited for without end
        raise LabelsUnusable(f"{given} is no plain file.", "give labels as .csv or .mat")
    return _with_images(read_labels(given, columns), source, images)


def read_labels(path: Path, columns: CsvColumns = AS_THE_HEADER_SAYS) -> Labels:
    """Read a label file by its suffix.

    Raises:
        LabelsUnusable: Neither CSV nor .mat, or its reader refuses it.
        UsageError: Columns are named of a file that is no CSV.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return read_csv(path, columns)
    _refuse_columns(path, columns)
    if suffix == ".mat":
        return read_mat(path)
    raise LabelsUnusable(f"{path} is neither a CSV nor a .mat file.", "give labels as .csv or .mat")


def _refuse_columns(path: Path, columns: CsvColumns) -> None:
    if columns != AS_THE_HEADER_SAYS:
        raise UsageError(
            f"--columns and --group-column name columns of a CSV; {path} is none, nor holds one.",
            "--labels FILE.csv, or leave them out",
        )


def _from_folder(folder: Path, images: Path | None, columns: CsvColumns) -> Located:
    named = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    tables = [path for path in named if path.is_file()]
    usable = [path for path in tables if is_label_csv(path, columns)]
    if len(usable) > 1:
        names = some([path.name for path in usable])
        raise LabelsUnusable(f"{folder} holds several label files: {names}.", "--labels FILE")
    if usable:
        return _with_images(read_csv(usable[0], columns), folder, images)
    if tables and columns.named:
        return _with_images(read_csv(tables[0], columns), folder, images)  # says what it lacks
    _refuse_columns(folder, columns)
    mats = [folder / place / name for place in MAT_FOLDERS for name in MAT_FILES]
    found = [path for path in mats if path.is_file()]
    if found:
        return _best_mat(found, folder, images)
    if tables and len(class_folders(folder)) <= 1:
        return _with_images(read_csv(tables[0]), folder, images)
    labels = read_folders(folder)
    return Located(labels, labels.source)


def _best_mat(paths: list[Path], folder: Path, images: Path | None) -> Located:
    """Of several annotation files, the one whose images are here."""
    options = [_best_root(read_mat(path), folder, images) for path in paths]
    found, best = max(options, key=lambda option: option[0])
    return _refuse_absent(best) if not found else best


def _with_images(labels: Labels, source: Path | None, images: Path | None) -> Located:
    found, located = _best_root(labels, source, images)
    return located if found else _refuse_absent(located)


def _refuse_absent(located: Located) -> Located:
    files = located.labels.table["file"].tolist()
    raise InputError(
        f"None of the {len(files):,} images that {located.labels.source} names is in "
        f"{located.images}: {some(files)}.",
        "--images FOLDER",
    )


def _best_root(labels: Labels, source: Path | None, images: Path | None) -> tuple[int, Located]:
    """The image root under which most files exist, and how many of the sample do."""
    if labels.root is not None:
        return _whole_paths(labels, labels.root, images)
    files = labels.table["file"].tolist()
    sample = files[:: max(1, len(files) // SAMPLE)]
    options: list[tuple[int, Located]] = []
    for root in _roots(labels.source, source, images):
        for bare in (False, True):
            names = [PurePosixPath(name).name for name in sample] if bare else sample
            found = sum((root / name).is_file() for name in names)
            options.append((found, Located(_bared(labels) if bare else labels, root)))
            if found == len(sample):
                return options[-1]
    return max(options, key=lambda option: option[0])


def _whole_paths(labels: Labels, root: Path, images: Path | None) -> tuple[int, Located]:
    """Images named by whole paths: named from `--images` where that holds them all."""
    if images is not None and root.is_relative_to(images):
        below = root.relative_to(images)
        named = labels.table["file"].map(lambda name: (below / name).as_posix())
        labels = replace(labels, table=labels.table.assign(file=named))
        root = images
    found = sum((root / name).is_file() for name in labels.table["file"])
    return found, Located(labels, root)


def _bared(labels: Labels) -> Labels:
    """The same labels with file names alone; kept as they are where that is ambiguous."""
    bare = labels.table["file"].map(lambda name: PurePosixPath(name).name)
    if bare.duplicated().any():
        return labels
    return replace(labels, table=labels.table.assign(file=bare))


def _roots(label_file: Path, source: Path | None, images: Path | None) -> Iterator[Path]:
    if images is not None:
        yield from (images, images.parent)
        return
    bases = [source] if source is not None and source.is_dir() else []
    bases += [label_file.parent, label_file.parent.parent]
    for base in dict.fromkeys(bases):
        for name in IMAGE_FOLDERS:
            root = Path(os.path.normpath(base / name))
            if root.is_dir():
                yield root
