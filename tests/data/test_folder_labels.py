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
    assert labels.notes == ["1 file without an image's suffix: A/notes.txt"]


def test_no_class_folder_is_said(tmp_path):
    fill(tmp_path, "1.jpg")
    with pytest.raises(LabelsUnusable, match="no class folders"):
        read_folders(tmp_path)


def splits_of(root):
    """The classes of each split, and the notes."""
    labels = read_folders(root)
    pairs = set(zip(labels.table["split"], labels.table["class_name"], strict=True))
    found = {}
    for split, class_name in sorted(pairs):
        found.setdefault(split, []).append(class_name)
    return found, labels.notes


@pytest.mark.parametrize(
    "names",
    [("train", "val", "test"), ("training", "validation", "testing"), ("Train", "VALID", "Test"),
     ("seg_train", "seg_val", "seg_test"), ("cars-train", "cars-valid", "cars-test")],
)  # fmt: skip
def test_splits_by_any_of_their_names(tmp_path, names):
    fill(tmp_path, *(f"{name}/{kind}/{name}.jpg" for name in names for kind in "AB"))
    assert splits_of(tmp_path) == ({name: ["A", "B"] for name in ("train", "val", "test")}, [])


def test_a_stray_folder_beside_splits_is_named_and_left_out(tmp_path):
    fill(tmp_path, "train/A/1.jpg", "train/B/1.jpg", "test/A/2.jpg", "valid/B/3.jpg")
    fill(tmp_path, "images to predict/1.jpg", "__MACOSX/train/A/._1.jpg", "test/B/4.jpg")
    fill(tmp_path, ".ipynb_checkpoints/A/1.jpg", "__MACOSX/train/A/1.jpg", "cover.jpg")
    found, notes = splits_of(tmp_path)
    assert found == {"train": ["A", "B"], "val": ["B"], "test": ["A", "B"]}
    assert notes == [
        "images to predict/ left out (1 picture): it stands beside test/, train/, valid/ and is "
        "no split",
        "1 picture in no split, left out: cover.jpg",
    ]


def test_a_test_folder_without_class_folders_has_no_labels(tmp_path):
    fill(tmp_path, "train/A/1.jpg", "train/B/1.jpg", "test/1.jpg", "test/2.jpg")
    found, notes = splits_of(tmp_path)
    assert found == {"train": ["A", "B"]}
    assert len(notes) == 1
    assert "2 pictures in test/ in no class folder, so without a label: left out" in notes[0]
    assert f"cars-bench predict {tmp_path / 'test'}" in notes[0]


def test_a_class_called_test_stays_one(tmp_path):
    fill(tmp_path, "apple/1.jpg", "pear/1.jpg", "test/1.jpg", "train/old/1.jpg", "train/2.jpg")
    found, notes = splits_of(tmp_path)
    assert found == {"": ["apple", "pear", "test", "train"]}
    assert notes == []


def test_folders_of_one_split_wrapped_twice_are_unwrapped(tmp_path):
    for split in ("seg_train", "seg_test"):
        fill(tmp_path, f"{split}/{split}/A/1.jpg", f"{split}/{split}/B/1.jpg")
    fill(tmp_path, "seg_pred/seg_pred/1.jpg")
    found, notes = splits_of(tmp_path)
    assert found == {"train": ["A", "B"], "test": ["A", "B"]}
    assert notes[0].startswith("seg_pred/ left out (1 picture)")


@pytest.mark.parametrize("inside", ["", "train/"])
def test_a_folder_around_the_classes_is_passed_through_and_named(tmp_path, inside):
    outer = tmp_path / "outer"
    fill(outer, f"photos/{inside}A/1.jpg", f"photos/{inside}B/1.jpg", "cover.jpg")
    labels = read_folders(outer)
    assert labels.source == outer / "photos"
    assert sorted(labels.table["file"]) == [f"{inside}A/1.jpg", f"{inside}B/1.jpg"]
    assert str(outer / "photos") in labels.notes[0]


def test_class_folders_one_deeper_beside_others_are_named(tmp_path):
    fill(tmp_path, "photos/A/1.jpg", "photos/B/1.jpg", "mixed/1.jpg")
    found, notes = splits_of(tmp_path)
    assert found == {"": ["mixed", "photos"]}
    assert f"cars-bench prepare {tmp_path / 'photos'}" in notes[0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["1.jpg", "2.jpg"], "2 pictures and no class folders: each class needs a folder"),
        (["train/1.jpg", "test/2.jpg"], "test/, train/ in .* hold pictures without class folders"),
    ],
)
def test_pictures_without_class_folders_are_told_what_they_lack(tmp_path, files, message):
    fill(tmp_path, *files)
    with pytest.raises(LabelsUnusable, match=message):
        read_folders(tmp_path)


def test_classes_in_train_alone_and_names_that_differ_in_case_are_said(tmp_path):
    fill(tmp_path, "train/Cat/1.jpg", "train/dog/1.jpg", "train/eel/1.jpg")
    fill(tmp_path, "test/cat/2.jpg", "test/dog/1.jpg")
    assert splits_of(tmp_path)[1] == [
        "2 classes in train alone: Cat, eel",
        "two classes whose names differ in case alone: Cat and cat",
    ]


@pytest.mark.parametrize(
    ("link", "target"),
    [("A/loop", "."), ("A/loop", ".."), ("B/up", "../.."), ("A/other", "../B"), ("0", "B")],
)
def test_a_folder_is_read_once_and_by_its_own_name(tmp_path, link, target):
    root = tmp_path / "cars"
    fill(tmp_path, "cars/A/1.jpg", "cars/B/2.jpg", "beside.jpg")
    (root / link).symlink_to(target)
    labels = read_folders(root)
    pairs = list(zip(labels.table["file"], labels.table["class_name"], strict=True))
    assert pairs == [("A/1.jpg", "A"), ("B/2.jpg", "B")]
    assert labels.notes == [f"1 link to folders that are read already, left out: {link}"]


def test_a_class_may_be_a_link_to_a_folder_elsewhere(tmp_path):
    fill(tmp_path, "there/1.jpg", "cars/B/2.jpg")
    (tmp_path / "cars" / "A").symlink_to(tmp_path / "there")
    assert read_folders(tmp_path / "cars").table["class_name"].tolist() == ["A", "B"]
