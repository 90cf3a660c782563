"""Finding labels and images from what a person typed."""

from __future__ import annotations

import os

import pytest

from cars_bench.data.sources import locate
from cars_bench.errors import InputError, LabelsUnusable

CSV = "img_file,class\n1.jpg,A\n2.jpg,B\n"


def fill(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_csv", ".csv").replace("_jpg", ".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("folder", ["", "car_ims/", "images/"])
def test_a_csv_beside_an_image_folder(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "labels.csv").write_text(CSV)
    for number in (1, 2):
        (tmp_path / folder / f"{number}.jpg").write_text("x")
    for source in (tmp_path, tmp_path / "labels.csv"):
        located = locate(source, None, None)
        assert located.images == tmp_path / folder.rstrip("/")


def test_a_prefix_in_the_file_names_is_matched(tmp_path):
    (tmp_path / "car_ims").mkdir()
    (tmp_path / "car_ims" / "1.jpg").write_text("x")
    (tmp_path / "l.csv").write_text("img_file,class\ncar_ims/1.jpg,A\n")
    located = locate(tmp_path / "l.csv", None, tmp_path / "car_ims")
    assert (located.images / located.labels.table["file"][0]).is_file()


def test_a_label_csv_is_preferred_to_class_folders_and_other_csvs(tmp_path):
    fill(tmp_path, labels_csv=CSV, other_csv="a,b\n", A__1_jpg="x", B__2_jpg="x", **{"1_jpg": "x"})
    located = locate(tmp_path, None, None)
    assert located.labels.layout == "csv"


def test_two_label_files_ask_for_a_choice(tmp_path):
    fill(tmp_path, a_csv=CSV, b_csv=CSV)
    with pytest.raises(LabelsUnusable, match=r"several label files: a\.csv, b\.csv") as caught:
        locate(tmp_path, None, None)
    assert caught.value.fix == "--labels FILE"


def test_a_csv_with_wrong_columns_beside_images_is_explained(tmp_path):
    fill(tmp_path, labels_csv="img_file,kind\n1.jpg,A\n", images__1_jpg="x")
    with pytest.raises(LabelsUnusable, match=r"no columns that are plainly.*img_file, kind"):
        locate(tmp_path, None, None)


def test_labels_without_any_image_are_refused(tmp_path):
    fill(tmp_path, labels_csv=CSV)
    with pytest.raises(InputError, match="None of the 2 images"):
        locate(tmp_path, None, None)


@pytest.mark.parametrize("name", ["nowhere", "notes.txt"])
def test_a_source_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError):
        locate(tmp_path / name, None, None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.timeout(10)
def test_a_named_pipe_is_no_label_file_and_is_not_waited_for(tmp_path):
    fill(tmp_path, A__1_jpg="x", B__2_jpg="x")
    os.mkfifo(tmp_path / "labels.csv")
    (tmp_path / "other.csv").mkdir()
    assert locate(tmp_path, None, None).labels.layout == "folders"
    with pytest.raises(LabelsUnusable, match="no plain file"):
        locate(None, tmp_path / "labels.csv", None)


@pytest.mark.parametrize(
    ("images", "root", "first"),
    [
        (None, "photos/2024", "a/1.jpg"),
        ("photos", "photos", "2024/a/1.jpg"),
        ("other", "photos/2024", "a/1.jpg"),
    ],
)
def test_images_named_by_whole_paths_are_found_where_they_are(tmp_path, images, root, first):
    (tmp_path / "other").mkdir()
    names = ["photos/2024/a/1.jpg", "photos/2024/b/2.jpg"]
    rows = [f"{tmp_path / name},{name[-7]}" for name in names]
    fill(tmp_path, **{name.replace("/", "__").replace(".jpg", "_jpg"): "x" for name in names})
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    located = locate(tmp_path / "labels.csv", None, images and tmp_path / images)
    assert located.images == tmp_path / root
    assert located.labels.table["file"][0] == first


def test_whole_paths_to_nothing_are_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\n/no/such/1.jpg,a\n/no/such/2.jpg,b\n")
    with pytest.raises(InputError, match="None of the 2 images"):
        locate(tmp_path / "labels.csv", None, None)
