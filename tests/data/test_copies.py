from __future__ import annotations

import pandas as pd
import pytest

from cars_bench.data.copies import (
    DROP_COPIES,
    MEND_LABELS,
    find_copies,
    labels_elsewhere,
    remedy,
    same_files,
    sentence,
)
from cars_bench.data.problems import Problems, warn_of_duplicates


def _table(*rows: tuple[str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["split", "class_name", "sha256"])
    return table.assign(image_id=[f"{n}.png" for n in range(len(table))])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("train", "a", "1"), ("test", "a", "2")], ""),
        ([("train", "a", "1"), ("train", "a", "1")], ""),
        (
            [("train", "a", "1"), ("test", "a", "1")],
            "1 test image is byte for byte a training image",
        ),
        (
            [("train", "a", "1"), ("val", "b", "1")],
            "1 validation image is byte for byte a training image, under another label",
        ),
        (
            [("train", "a", "1"), ("test", "b", "1"), ("test", "b", "1")],
            "2 test images are byte for byte training images, both under another label",
        ),
        (
            [("train", "a", "1"), ("test", "b", "1"), ("train", "a", "2"), ("test", "a", "2")],
            "2 test images are byte for byte training images, 1 of them under another label",
        ),
        (
            [("train", "a", "1"), ("train", "b", "1")],
            "2 training images are byte for byte other training images under another label",
        ),
    ],
)
def test_a_picture_that_stands_twice_is_told_with_its_splits_and_labels(rows, said):
    assert sentence(find_copies(_table(*rows))) == said


def test_three_copies_of_one_picture_count_as_images_not_as_pairs():
    table = _table(("test", "b", "1"), ("train", "a", "1"), ("train", "a", "1"))
    assert [(len(item.names), item.relabelled) for item in find_copies(table)] == [(1, 1)]


def test_labels_elsewhere_names_every_class_that_the_file_has_there():
    table = _table(("test", "b", "1"), ("train", "c", "1"), ("train", "a", "1"))
    assert labels_elsewhere(table, "test", "train") == {"0.png": ["a", "c"]}


def test_only_a_conflict_of_labels_asks_for_labels_to_be_corrected():
    same = find_copies(_table(("train", "a", "1"), ("test", "a", "1")))
    other = find_copies(_table(("train", "a", "1"), ("test", "b", "1")))
    assert (remedy(same), remedy(other)) == (DROP_COPIES, MEND_LABELS)


def test_the_same_files_stand_on_one_line_with_split_and_class():
    table = _table(("train", "a", "1"), ("test", "b", "1"), ("train", "a", "2"))
    assert same_files(table, find_copies(table)) == ["1.png (test, b) = 0.png (train, a)"]


def test_prepare_says_splits_labels_names_and_what_to_do():
    problems = Problems()
    warn_of_duplicates(_table(("train", "a", "1"), ("test", "b", "1")), problems)
    assert problems.warnings == [
        "1 test image is byte for byte a training image, under another label: 1.png; "
        f"{MEND_LABELS}."
    ]
