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
    labels = make_labels(SOURCE, "csv", ["a.jpg", "c.jpg"], ["  Cafe\u0301 ", "e"])
    assert labels.table["file"].tolist() == ["a.jpg", "c.jpg"]
    assert labels.table["class_name"].tolist() == ["Caf\u00e9", "e"]
    assert labels.table["split"].tolist() == ["", ""]
    assert labels.table[BOX_COLUMNS].isna().all(axis=None)
    assert not labels.has_split


def test_words_of_any_script_may_be_classes():
    names = ["کتاب‌ها", "क्‍ष", "👩‍🚒", "日産", "Škoda ❤️"]
    labels = make_labels(SOURCE, "csv", "abcde", names)
    assert labels.table["class_name"].tolist() == names


@pytest.mark.parametrize("name", [" a.jpg", "a\\b.jpg", "a\rb.jpg", "=1+1.jpg", "a\tb.jpg"])
def test_a_file_name_is_kept_to_the_letter(name):
    assert make_labels(SOURCE, "folders", [name], ["x"]).table["file"].tolist() == [name]


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
        (["/etc/a.jpg", "b.jpg"], ["x", "x"], None, "outside the image folder"),
        (["../a.jpg"], ["x"], None, "outside the image folder"),
        ([""], ["x"], None, "outside the image folder"),
        (["a", "b"], ["x", " "], None, "no class for 1 images: b"),
        (["a", "./a"], ["x", "y"], None, "two rows or more for 1 images: a"),
        (["a"], ["x"], ["holdout"], "unknown split 'holdout'"),
        (["a", "b"], ["x", "y"], ["train", ""], "the split of 1 images and not of 1"),
        (["a\udcff.jpg"], ["x"], None, r"not UTF-8 text: 'a\\udcff.jpg'"),
        (["a"], ["x\0y"], None, r"not seen: 'x\\x00y'"),
        (["a"], ["x\u200by"], None, r"not seen: 'x\\u200by'"),
        (["a"], ["x\u202ey"], None, "not seen"),
        (["a"], ["x\x1b[2Jy"], None, "not seen"),
        (["a"], ["\u200d"], None, "not seen"),
        (["a", "b"], ["x", "x\u200d"], None, r"look alike: 'x', 'x\\u200d'"),
        (["a", "b"], ["x y", "x\u00a0y"], None, "look alike"),
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
