"""What all label layouts have in common: names, splits and boxes, checked once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cars_bench.data.dataset import BOX_COLUMNS
from cars_bench.data.labels import make_labels, some
from cars_bench.errors import LabelsUnusable

SOURCE = Path("labels.csv")


def test_names_are_made_plain_and_what_is_absent_stays_empty():
    labels = make_labels(SOURCE, "csv", ["a\\b.jpg ", "c.jpg"], ["  Cafe\u0301 ", "e"])
    assert labels.table["file"].tolist() == ["a/b.jpg", "c.jpg"]
    assert labels.table["class_name"].tolist() == ["Caf\u00e9", "e"]
    assert labels.table["split"].tolist() == ["", ""]
    assert labels.table[BOX_COLUMNS].isna().all(axis=None)
    assert not labels.has_split


def test_splits_go_by_many_words():
    words = ["Train", "training", "valid", "VALIDATION", "testing", "test"]
    labels = make_labels(SOURCE, "csv", map(str, range(6)), "abcdef", splits=words)
    assert labels.table["split"].tolist() == ["train", "train", "val", "val", "test", "test"]
    assert labels.has_split


def test_boxes_go_with_their_files():
    boxes = pd.DataFrame([(1, 2, 3, 4)], columns=BOX_COLUMNS)
    labels = make_labels(SOURCE, "csv", ["a"], ["x"], boxes=boxes)
    assert labels.table[BOX_COLUMNS].iloc[0].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("files", "classes", "splits", "message"),
    [
        ([], [], None, "no labelled image"),
        (["/etc/a.jpg"], ["x"], None, "outside the image folder"),
        (["../a.jpg"], ["x"], None, "outside the image folder"),
        ([""], ["x"], None, "outside the image folder"),
        (["a", "b"], ["x", " "], None, "no class for 1 images: b"),
        (["a", "./a"], ["x", "y"], None, "two rows or more for 1 images: a"),
        (["a"], ["x"], ["holdout"], "unknown split 'holdout'"),
        (["a", "b"], ["x", "y"], ["train", ""], "the split of 1 images and not of 1"),
    ],
)
def test_what_no_layout_may_say_is_refused(files, classes, splits, message):
    with pytest.raises(LabelsUnusable, match=message):
        make_labels(SOURCE, "csv", files, classes, splits=splits)


@pytest.mark.parametrize(
    ("names", "said"),
    [(["a"], "a"), (list("abc"), "a, b, c"), (list("abcd"), "a, b, c and 1 more")],
)
def test_a_message_names_a_few(names, said):
    assert some(names) == said
