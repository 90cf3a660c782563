"""The .mat layouts: numbers from 1 go through names, boxes become 0-based."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from cars_bench.data.mat_labels import read_mat
from cars_bench.errors import LabelsUnusable

BOX = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
NAMES = np.array(["Zed", "Alpha", "Mid"], dtype=object)


def annotations(rows, fields):
    kinds = [(name, object) for name in fields]
    return np.array([tuple(row) for row in rows], dtype=kinds)[None, :]


def write(path, classes=(2, 1), **extra):
    rows = [(1, 2, 30, 40, number, f"{i:05d}.jpg") for i, number in enumerate(classes, 1)]
    savemat(path, {"annotations": annotations(rows, [*BOX, "class", "fname"])} | extra)
    return path


@pytest.fixture
def devkit(tmp_path):
    savemat(tmp_path / "cars_meta.mat", {"class_names": NAMES[None, :]})
    return tmp_path


def test_the_devkit_layout(devkit):
    labels = read_mat(write(devkit / "cars_train_annos.mat"))
    assert labels.table["class_name"].tolist() == ["Alpha", "Zed"]
    assert labels.table[["x1", "y1", "x2", "y2"]].iloc[0].tolist() == [0, 1, 30, 40]
    assert not labels.has_split


def test_one_row_alone_is_read(devkit):
    assert len(read_mat(write(devkit / "a.mat", [3])).table) == 1


def test_names_in_a_sibling_devkit_are_found(devkit):
    beside = devkit / "annotations"
    beside.mkdir()
    (devkit / "devkit").mkdir()
    (devkit / "cars_meta.mat").rename(devkit / "devkit" / "cars_meta.mat")
    assert len(read_mat(write(beside / "a.mat")).table) == 2


def test_the_combined_layout_has_names_and_split(tmp_path):
    rows = [("car_ims/000001.jpg", 1, 1, 9, 9, 1, 0), ("car_ims/000002.jpg", 1, 1, 9, 9, 3, 1)]
    fields = ["relative_im_path", *BOX, "class", "test"]
    content = {"annotations": annotations(rows, fields), "class_names": NAMES[None, :]}
    savemat(tmp_path / "cars_annos.mat", content)
    labels = read_mat(tmp_path / "cars_annos.mat")
    assert labels.table["file"].tolist() == ["car_ims/000001.jpg", "car_ims/000002.jpg"]
    assert labels.table["split"].tolist() == ["train", "test"]
    assert labels.table["class_name"].tolist() == ["Zed", "Mid"]


@pytest.mark.parametrize("number", [0, 4, 197])
def test_a_class_out_of_range_is_refused(devkit, number):
    path = write(devkit / "a.mat", [1, number])
    with pytest.raises(LabelsUnusable, match=rf"out of range 1 to 3 in 1 rows: {number} \(00002"):
        read_mat(path)


def test_the_test_file_without_labels_is_named(devkit):
    path = devkit / "cars_test_annos.mat"
    savemat(path, {"annotations": annotations([(1, 2, 3, 4, "1.jpg")], [*BOX, "fname"])})
    with pytest.raises(LabelsUnusable, match="no labels") as caught:
        read_mat(path)
    assert "cars_test_annos_withlabels.mat" in caught.value.fix


def test_missing_names_are_said(tmp_path):
    with pytest.raises(LabelsUnusable, match=r"cars_meta\.mat"):
        read_mat(write(tmp_path / "a.mat"))


def test_another_mat_file_is_refused(tmp_path):
    savemat(tmp_path / "a.mat", {"x": 1})
    with pytest.raises(LabelsUnusable, match="no annotations"):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("keep", [0, 10, 127, 140, 300])
def test_a_cut_file_is_corrupt(devkit, keep):
    path = write(devkit / "a.mat")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(LabelsUnusable, match=r"corrupt|no annotations"):
        read_mat(path)


@pytest.mark.parametrize("data", [b"<html></html>" * 30, b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_foreign_bytes_are_corrupt(tmp_path, data):
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(LabelsUnusable, match="corrupt"):
        read_mat(tmp_path / "a.mat")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "rows", "has_split"),
    [
        ("devkit/cars_train_annos.mat", 8144, False),
        ("annotations/cars_test_annos_withlabels.mat", 8041, False),
        ("annotations/cars_annos.mat", 16185, True),
    ],
)
def test_the_real_files_are_read(real_cars, file, rows, has_split):
    labels = read_mat(real_cars / file)
    assert (len(labels.table), labels.has_split) == (rows, has_split)
    assert labels.table["class_name"].nunique() == 196
