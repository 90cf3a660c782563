"""Covers `cars_bench/detectors/onnx_file.py`: files of every layout find what is in a picture."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from PIL import Image, ImageDraw

from cars_bench.data.detection import DetectorCrop, DetectorFiles, Picture, iou
from cars_bench.detectors.choose import detector_files, finder_for, reopened
from cars_bench.detectors.finder import Finder
from cars_bench.detectors.onnx_file import OnnxDetector
from cars_bench.errors import DetectorFailed, InputError
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace, sha256_file
from tests.detectors import onnx_models as models
from tests.detectors.onnx_models import DARK, RED, SIDE

pytest.importorskip("openvino")

HALF = TensorProto.FLOAT16
BYTES = TensorProto.UINT8
LAYOUTS = {
    "boxes in pixels": (models.separate, "class 1"),
    "boxes as shares": (partial(models.separate, shares=True), "class 1"),
    "boxes of TensorFlow": (partial(models.separate, tensorflow=True), "class 1"),
    "yolo 5": (models.yolo5, "class 2"),
    "yolo 5, one class": (partial(models.yolo5, classes=1), "class 0"),
    "yolo 8": (models.yolo8, "class 2"),
    "yolo 10": (models.finished, "class 2"),
}


def draw(path: Path, size: tuple[int, int], box: tuple[float, float, float, float] | None) -> Path:
    image = Image.new("RGB", size, DARK)
    if box:
        left, top, right, bottom = box
        ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), fill=RED)
    image.save(path)
    return path


def seen(detector: OnnxDetector, path: Path, folder: Path):
    """What a finder says of a picture, in pixels of the original."""
    with Image.open(path) as image:
        width, height = image.size
    picture = Picture(path=path, sha256=sha256_file(path), width=width, height=height)
    crop = DetectorCrop(detector=detector.name, digest=detector.digest)
    finder = Finder(Workspace(folder), detector, crop)
    (found,) = finder.find([picture], Progress())
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_finds_the_object_once_and_nothing_where_there_is_none(tmp_path, layout):
    make, name = LAYOUTS[layout]
    detector = OnnxDetector(make(tmp_path / "detector.onnx"))
    box = (60.0, 30.0, 160.0, 90.0)
    (found,) = seen(detector, draw(tmp_path / "a.png", (200, 120), box), tmp_path)
    assert iou(found.box, box) > 0.9
    assert (found.class_name, round(found.score, 1)) == (name, 0.9)
    assert seen(detector, draw(tmp_path / "b.png", (200, 120), None), tmp_path) == ()


@pytest.mark.parametrize(
    "given",
    [
        {"shape": ("batch", 3, SIDE, SIDE)},
        {"shape": (3, SIDE, SIDE)},
        {"kind": BYTES},
        {"kind": HALF},
        {"shape": ("batch", 3, "height", "width"), "side": 640},
        {"shape": (3, "height", "width"), "side": 640},
    ],
)
def test_every_kind_of_input_is_fed(tmp_path, given):
    detector = OnnxDetector(models.separate(tmp_path / "detector.onnx", **given))
    box = (20.0, 100.0, 80.0, 280.0)
    (found,) = seen(detector, draw(tmp_path / "a.png", (120, 300), box), tmp_path)
    assert iou(found.box, box) > 0.9


@pytest.fixture(scope="module")
def finds_red(tmp_path_factory):
    path = tmp_path_factory.mktemp("letterbox") / "detector.onnx"
    return OnnxDetector(models.separate(path))


sides = st.integers(50, 400)
parts = st.tuples(*[st.floats(0, 1)] * 4)


@settings(max_examples=60, deadline=None)
@given(width=sides, height=sides, parts=parts)
def test_a_box_comes_back_through_the_letterbox(tmp_path_factory, finds_red, width, height, parts):
    folder = tmp_path_factory.mktemp("drawn")
    pixel = max(width, height) / SIDE
    least = math.ceil(3 * pixel)
    left = int(parts[0] * (width - least))
    top = int(parts[1] * (height - least))
    right = left + least + int(parts[2] * (width - left - least))
    bottom = top + least + int(parts[3] * (height - top - least))
    path = draw(folder / "a.png", (width, height), (left, top, right, bottom))
    (found,) = seen(finds_red, path, folder)
    off = np.abs(np.array(found.box) - (left, top, right, bottom))
    assert off.max() <= pixel + 0.1


def test_the_whole_picture_is_seen_undistorted_with_grey_around_it(tmp_path, finds_red):
    prepared = finds_red.prepared(draw(tmp_path / "a.png", (300, 100), (0, 0, 300, 100)))
    assert (prepared.width, prepared.height) == (64, 21)
    assert (prepared.pixels[:21] == RED).all()
    assert (prepared.pixels[21:] == 114).all()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("{0: 'car', 1: 'bus', 2: 'truck'}", "truck"),
        ("['car', 'bus', 'truck']", "truck"),
        ("{0: 'car', 1: __import__('os').getcwd()}", "class 2"),
        ("", "class 2"),
    ],
)
def test_names_come_from_the_file_itself(tmp_path, told, name):
    path = models.named(models.yolo8(tmp_path / "detector.onnx"), told)
    assert OnnxDetector(path).class_names[2] == name


def test_names_from_a_text_file_win_and_change_the_digest(tmp_path):
    path = models.named(models.yolo8(tmp_path / "detector.onnx"), "['car', 'bus', 'truck']")
    names = tmp_path / "names.txt"
    names.write_text("Auto\nBus\nLaster\n\n")
    detector = OnnxDetector(path, names)
    assert detector.class_names == ("Auto", "Bus", "Laster")
    assert detector.digest != OnnxDetector(path).digest
    assert OnnxDetector(path).digest == OnnxDetector(path).digest


def test_a_model_finds_its_detector_again_where_the_file_lies_now(workspace, tmp_path, monkeypatch):
    path = models.yolo8(tmp_path / "detector.onnx")
    monkeypatch.chdir(tmp_path)
    first = finder_for(workspace, "detector:onnx:detector.onnx", DetectorFiles())
    monkeypatch.chdir("/")
    assert reopened(workspace, first.crop, DetectorFiles()).crop == first.crop
    moved = path.rename(tmp_path / "moved.onnx")
    with pytest.raises(InputError, match="There is no file"):
        reopened(workspace, first.crop, DetectorFiles())
    again = reopened(workspace, first.crop, detector_files(weights=moved))
    assert again.crop == first.crop
    models.altered(moved, lambda model: setattr(model, "doc_string", "another"))
    with pytest.raises(InputError, match="not the one"):
        reopened(workspace, first.crop, detector_files(weights=moved))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("car\nbus\n", "names 2 classes, and detector.onnx tells 3 apart"),
        ("a\nb\nc\nd\n", "names 4 classes"),
        ("car\n", "names 1 class, and"),
        ("", "names no class"),
        ("a\nb\x1b[2Jb\nc", "cannot be printed"),
        ("\udcff", "cannot be read as names"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, lines, said):
    names = tmp_path / "names.txt"
    names.write_bytes(lines.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=said):
        OnnxDetector(models.yolo8(tmp_path / "detector.onnx"), names)


def test_a_class_without_a_name_is_refused_when_it_is_seen(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("bird\n")
    detector = OnnxDetector(models.finished(tmp_path / "detector.onnx"), names)
    path = draw(tmp_path / "a.png", (99, 99), (10, 10, 90, 90))
    with pytest.raises(InputError, match=r"answers with class 2, and there are names of 1"):
        seen(detector, path, tmp_path)


def _two_inputs(model: onnx.ModelProto) -> None:
    extra = onnx.helper.make_tensor_value_info("sizes", TensorProto.INT64, (1, 2))
    model.graph.input.append(extra)
    model.graph.node.append(onnx.helper.make_node("Identity", ["sizes"], ["told"]))
    told = onnx.helper.make_tensor_value_info("told", TensorProto.INT64, (1, 2))
    model.graph.output.append(told)


def _only_boxes(model: onnx.ModelProto) -> None:
    del model.graph.output[1:]


@pytest.mark.parametrize(
    ("change", "said"),
    [(_two_inputs, "2 inputs"), (_only_boxes, r"no known layout: 4711 \[1, 4\]")],
)
def test_a_network_of_another_kind_is_refused(tmp_path, change, said):
    path = models.altered(models.separate(tmp_path / "detector.onnx"), change)
    with pytest.raises(InputError, match=said):
        OnnxDetector(path)


@pytest.mark.parametrize("shape", [(1, 1, SIDE, SIDE), (4, 3, SIDE, SIDE), (SIDE, SIDE)])
def test_an_input_that_is_not_one_picture_is_refused(tmp_path, shape):
    graph = models.Graph()
    graph.node("Identity", "images", name="out")
    path = graph.save(tmp_path / "a.onnx", shape, TensorProto.FLOAT, {"out": TensorProto.FLOAT})
    with pytest.raises(InputError, match="its input is"):
        OnnxDetector(path)


@pytest.mark.parametrize("data", [b"", b"no network", b"\x08\x07" * 99])
def test_a_file_that_is_no_network_is_refused(tmp_path, data):
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError):
        OnnxDetector(path)
    with pytest.raises(InputError, match=r"no \.onnx file"):
        OnnxDetector(path.rename(tmp_path / "weights.pth"))
    with pytest.raises(InputError, match="There is no file"):
        OnnxDetector(path)


def test_weights_beside_the_file_count_for_its_digest(tmp_path):
    path = models.yolo8(tmp_path / "detector.onnx")
    outside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 64}
    onnx.save(onnx.load(path), path, **outside)
    before = OnnxDetector(path).digest
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"\0\0\0\1" + weights.read_bytes()[4:])
    assert OnnxDetector(path).digest != before


def test_a_network_that_fails_in_mid_run_is_named(tmp_path, finds_red, monkeypatch):
    def failing(inputs):
        raise RuntimeError("first line\nout of memory")
        yield

    monkeypatch.setattr(finds_red._network, "stream", failing)
    path = draw(tmp_path / "a.png", (99, 99), None)
    with pytest.raises(DetectorFailed, match="out of memory"):
        seen(finds_red, path, tmp_path)
