"""The .mat layouts: numbers from 1 go through names, boxes become 0-based.

Covers cars_bench/data/mat_reader.py.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from cars_bench.data import mat_labels
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


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("class", float("nan"), "row 2: class must be a number, got nan"),
        ("class", 1.5, "out of range 1 to 3 in 1 rows: 1.5"),
        ("class", "two", "row 2: class must be a number, got 'two'"),
        ("class", np.ones((2, 3)), r"row 2: class must be a number, got an array \[2, 3\]"),
        ("bbox_x1", float("inf"), "row 2: bbox_x1 must be a number, got inf"),
        ("bbox_y2", "x", "row 2: bbox_y2 must be a number"),
        ("bbox_y2", np.zeros((0, 0)), "row 2: bbox_y2 must be a number"),
        ("fname", 7, "row 2: fname must be text, got 7"),
        ("fname", np.array(["a.jpg", "b.jpg"]), "row 2: fname must be text, got an array"),
        ("fname", "", "row 2: fname must be text, got an array"),
    ],
)
def test_a_field_of_another_kind_is_refused(devkit, field, value, message):
    fields = [*BOX, "class", "fname"]
    rows = [(1, 2, 30, 40, 1, "1.jpg"), (1, 2, 30, 40, 2, "2.jpg")]
    changed = [value if name == field else cell for name, cell in zip(fields, rows[1], strict=True)]
    savemat(devkit / "a.mat", {"annotations": annotations([rows[0], changed], fields)})
    with pytest.raises(LabelsUnusable, match=message):
        read_mat(devkit / "a.mat")


@pytest.mark.skipif(os.name == "nt", reason="signals end no process there")
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended with SIGSEGV"),
        ("import os; os.kill(os.getpid(), 7)", "ended with SIGBUS"),
        ("import time; time.sleep(60)", "takes over 1 seconds"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
)
def test_a_reader_that_crashes_or_hangs_is_one_sentence(devkit, monkeypatch, program, reason):
    path = write(devkit / "a.mat")
    (devkit / "reader.py").write_text(program)
    monkeypatch.setattr(mat_labels, "READER", devkit / "reader.py")
    monkeypatch.setattr(mat_labels, "LONGEST_SECONDS", 1 if "sleep" in program else 60)
    with pytest.raises(LabelsUnusable, match=reason):
        read_mat(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept by Linux")
def test_a_file_that_asks_for_all_memory_is_refused(devkit):
    bomb = zlib.compress(bytes(1 << 20)) * 2
    path = write(devkit / "a.mat")
    size = np.array([14, 0x7FFFFFF0, 6, 8, 6, 0, 5, 8, 30000, 30000, 1, 0, 9, 0x7FFFFF00], "<u4")
    path.write_bytes(path.read_bytes()[:128] + size.tobytes() + bomb)
    with pytest.raises(LabelsUnusable, match="corrupt"):
        read_mat(path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_are_read_or_refused(devkit, seed):
    path = write(devkit / "a.mat", range(1, 4))
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(124, len(data), 4):
        data[place] = random.integers(256)
    path.write_bytes(data)
    with contextlib.suppress(LabelsUnusable):
        assert len(read_mat(path).table) <= 3


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
