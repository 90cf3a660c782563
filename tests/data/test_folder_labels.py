"""One folder a class: names map by name, not by order."""

from __future__ import annotations

import pytest

from cars_bench.data.folder_labels import read_folders
from cars_bench.errors import LabelsUnusable


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_folders_one_two_ten_keep_their_names(tmp_path):
    fill(tmp_path, "1/a.jpg", "2/a.JPG", "10/a.png", "10/deep/b.webp")
    table = read_folders(tmp_path).table
    pairs = dict(zip(table["file"], table["class_name"], strict=True))
    assert pairs == {"1/a.jpg": "1", "2/a.JPG": "2", "10/a.png": "10", "10/deep/b.webp": "10"}


def test_split_folders_above_class_folders_are_the_split(tmp_path):
    fill(tmp_path, "train/A/1.jpg", "train/B/1.jpg", "test/A/1.jpg", "valid/B/1.jpg")
    table = read_folders(tmp_path).table
    assert sorted(table["split"]) == ["test", "train", "train", "val"]
    assert set(table["class_name"]) == {"A", "B"}


def test_other_files_are_left_out_and_said(tmp_path):
    fill(tmp_path, "A/1.jpg", "A/notes.txt", "A/.DS_Store", ".git/x.jpg")
    labels = read_folders(tmp_path)
    assert labels.table["file"].tolist() == ["A/1.jpg"]
    assert labels.notes == ["1 files without an image's suffix: A/notes.txt"]


def test_no_class_folder_is_said(tmp_path):
    fill(tmp_path, "1.jpg")
    with pytest.raises(LabelsUnusable, match="no class folders"):
        read_folders(tmp_path)
