"""Every file gives a result, in order; what is wrong is refused or listed with names."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from cars_bench.data.card import Quarantined
from cars_bench.data.problems import (
    Problems,
    check_boxes,
    put_aside_other_bytes,
    quarantine,
    refuse_empty_splits,
    refuse_missing,
    scan_image,
    scan_images,
)
from cars_bench.errors import InputError
from cars_bench.progress import PlainProgress, Progress


def test_results_come_in_order_with_digests(tiny_source):
    paths = sorted((tiny_source / "images").iterdir())
    found = scan_images(paths, Progress())
    assert [item.sha256 for item in found] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    ]
    assert {(item.width, item.height, item.problem) for item in found} == {(48, 48, "")}


def test_what_cannot_be_read_is_a_result(tmp_path):
    page = tmp_path / "page.jpg"
    page.write_text("<html>")
    assert scan_image(page).is_page
    assert scan_image(tmp_path).problem.startswith("it cannot be read")
    assert scan_image(tmp_path / "none.jpg").problem.startswith("it cannot be read")


def test_many_files_are_told_about_a_tenth_at_a_time(tiny_source, monkeypatch):
    lines: list[str] = []
    progress = PlainProgress()
    monkeypatch.setattr(progress, "log", lines.append)
    monkeypatch.setattr("cars_bench.data.problems.CHUNK", 10)
    scan_images(sorted((tiny_source / "images").iterdir()), progress)
    assert lines[0] == "Reading images (60 images)"
    assert len(lines) == 7
    assert "60 of 60 images" in lines[-1]


def test_missing_images_are_refused_unless_they_may_miss():
    refuse_missing([], 3, "here", allowed=False)
    refuse_missing(["a"], 3, "here", allowed=True)
    with pytest.raises(InputError, match=r"1 of 3 labelled images are missing in here: a\."):
        refuse_missing(["a"], 3, "here", allowed=False)


def _rows(*problems, page=False):
    names = [f"{number}.jpg" for number in range(len(problems))]
    return pd.DataFrame({"image_id": names, "problem": problems, "is_page": page})


def test_what_cannot_be_used_is_set_aside_with_its_reason():
    found = Problems()
    usable = quarantine(_rows("", "the file is empty"), False, found)
    assert usable["image_id"].tolist() == ["0.jpg"]
    assert found.quarantined == [Quarantined("1.jpg", "the file is empty")]


def test_names_that_are_not_utf8_are_set_aside():
    problems = Problems()
    rows = pd.DataFrame({"image_id": ["a/1.png", "a/\udcff.png", "\udcfe/2.png"]}, dtype=object)
    assert put_aside_other_bytes(rows, problems)["image_id"].tolist() == ["a/1.png"]
    assert problems.quarantined == [
        Quarantined(r"a/\udcff.png", "its name is not UTF-8"),
        Quarantined(r"\udcfe/2.png", "its name is not UTF-8"),
    ]
    with pytest.raises(InputError, match="No image has a name"):
        put_aside_other_bytes(rows[1:], Problems())


def test_web_pages_are_refused_unless_images_may_miss():
    rows = _rows("", "it is an HTML page")
    rows["is_page"] = rows["problem"] != ""
    with pytest.raises(InputError, match="1 of 2 images are HTML pages"):
        quarantine(rows, False, Problems())
    assert len(quarantine(rows, True, Problems())) == 1


def test_nothing_usable_names_the_first_reason():
    with pytest.raises(InputError, match=r"None of 2 images can be read; 0\.jpg: broken"):
        quarantine(_rows("broken", "worse"), False, Problems())


def _boxed(*boxes):
    table = pd.DataFrame(boxes, columns=["x1", "y1", "x2", "y2"], dtype=float)
    names = [f"{number}.jpg" for number in range(len(boxes))]
    return table.assign(image_id=names, width=100, height=80)


BOX_COLUMNS = ["x1", "y1", "x2", "y2"]


def test_boxes_are_clipped_to_whole_pixels_inside_the_image():
    rows = check_boxes(_boxed((-1.5, 0.4, 101, 79.2)), "boxes", False, Problems())
    assert rows[BOX_COLUMNS].iloc[0].tolist() == [0, 0, 100, 80]


def test_a_box_with_a_corner_missing_is_no_box():
    rows = check_boxes(_boxed((1, 2, float("nan"), 9), (1, 2, 8, 9)), "none", False, Problems())
    assert rows["x1"].isna().tolist() == [True, False]
    with pytest.raises(InputError, match="1 of 2 have none"):
        check_boxes(_boxed((1, 2, float("nan"), 9), (1, 2, 8, 9)), "boxes", False, Problems())


@pytest.mark.parametrize("box", [(0, 0, 150, 50), (-9, 0, 50, 50), (120, 0, 130, 50)])
def test_boxes_outside_are_refused_or_left_out(box):
    rows = _boxed(box, (1, 2, 8, 9), (1, 2, 8, 9))
    with pytest.raises(InputError, match="1 of 3 images have a box outside"):
        check_boxes(rows, "none", False, Problems())
    found = Problems()
    kept = check_boxes(rows, "none", True, found)
    assert kept["x1"].isna().tolist() == [True, False, False]
    assert found.warnings[0].endswith("those boxes were left out.")


def test_where_most_boxes_lie_outside_none_is_believed():
    found = Problems()
    kept = check_boxes(_boxed((0, 0, 150, 50), (0, 0, 150, 50), (1, 2, 8, 9)), "none", True, found)
    assert np.isnan(kept[BOX_COLUMNS].to_numpy(float)).all()
    assert "all boxes were left out" in found.warnings[0]


def _split(*rows):
    return pd.DataFrame(rows, columns=["split", "class_name"])


def test_one_class_and_empty_splits_are_refused():
    with pytest.raises(InputError, match="1 image is of one class, 'a'"):
        refuse_empty_splits(_split(("train", "a")), Problems())
    with pytest.raises(InputError, match="The val and the test split would have no image"):
        refuse_empty_splits(_split(("train", "a"), ("train", "b")), Problems())


def test_classes_without_a_training_image_are_told():
    found = Problems()
    refuse_empty_splits(_split(("train", "a"), ("val", "b"), ("test", "a")), found)
    assert found.warnings == ["1 class without a training image: b."]
