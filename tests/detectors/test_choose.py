from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.data.detection import DetectorFiles
from cars_bench.detectors import choose
from cars_bench.detectors.choose import asked_boxes, detector_files, finder_for, reopened
from cars_bench.errors import InputError, UsageError
from cars_bench.workspace import Workspace
from tests.detectors.seeing import ColourDetector, crop


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose.ssd, "SsdMobileNetV2", ColourDetector)


@pytest.mark.parametrize("asked", ["none", "boxes", "detectors"])
def test_other_crops_need_no_detector(workspace: Workspace, asked: str) -> None:
    assert finder_for(workspace, asked, DetectorFiles()) is None


@pytest.mark.parametrize(
    ("crop", "boxes", "expected"),
    [
        ("none", "source", ("none", True)),
        ("boxes", "source", ("boxes", False)),
        ("detector:onnx:a", "source", ("detector:onnx:a", False)),
        ("none", "detector", ("detector", True)),
        ("none", "detector:onnx:a", ("detector:onnx:a", True)),
    ],
)
def test_boxes_of_a_detector_leave_pictures_whole(crop, boxes, expected):
    assert asked_boxes(crop, boxes) == expected


@pytest.mark.parametrize(("crop", "boxes"), [("boxes", "detector"), ("none", "guess")])
def test_boxes_that_cannot_be_are_refused(crop, boxes):
    with pytest.raises(UsageError, match="--boxes"):
        asked_boxes(crop, boxes)


def test_the_default_detector_takes_every_class_at_the_default_threshold(
    workspace: Workspace,
) -> None:
    found = finder_for(workspace, "detector", DetectorFiles())
    assert found
    assert found.crop == crop(detector="ssd-mobilenet-v2", threshold=0.3)


def test_what_was_asked_stands_in_the_rule(workspace: Workspace) -> None:
    found = finder_for(
        workspace,
        "detector:ssd-mobilenet-v2",
        DetectorFiles(),
        classes="red, green",
        threshold=0.5,
        margin=0.05,
    )
    assert found
    assert found.crop.classes == ("red", "green")
    assert (found.crop.threshold, found.crop.margin) == (0.5, 0.05)


@pytest.mark.parametrize(
    ("asked", "options", "said"),
    [
        ("detector:yolo", {}, "no detector 'yolo'"),
        ("detector", {"classes": "red,blue"}, "no class 'blue'"),
        ("detector", {"threshold": 0.0}, "threshold"),
        ("detector", {"margin": 7}, "margin"),
        ("none", {"classes": "red"}, "without one"),
        ("boxes", {"margin": 0.1}, "without one"),
    ],
)
def test_what_cannot_be_meant_is_refused(workspace: Workspace, asked, options, said) -> None:
    with pytest.raises(UsageError, match=said):
        finder_for(workspace, asked, DetectorFiles(), **options)


@pytest.mark.parametrize(
    ("asked", "files", "said"),
    [
        ("detector", {"weights": "w.pth"}, "ssd-mobilenet-v2 takes no --detector-weights"),
        ("detector", {"names": "n", "python": "p"}, "no --detector-names and --detector-python"),
        ("detector:onnx:d.onnx", {"python": "p"}, "takes no --detector-python"),
        ("detector:detectron2:x", {"names": "n"}, "takes no --detector-names"),
    ],
)
def test_a_file_that_the_detector_would_not_read_is_refused(
    workspace: Workspace, asked, files, said
) -> None:
    with pytest.raises(UsageError, match=said):
        finder_for(workspace, asked, DetectorFiles(**files))


def test_an_unknown_class_is_answered_with_those_there_are(workspace: Workspace) -> None:
    with pytest.raises(UsageError) as caught:
        finder_for(workspace, "detector", DetectorFiles(), classes="blue")
    assert caught.value.fix == "--detect-classes of: red, green"


def test_files_are_kept_by_their_whole_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    kept = detector_files(Path("w.pth"), python=Path("venv/bin/python"))
    assert kept == DetectorFiles(
        weights=str(tmp_path / "w.pth"), python=str(tmp_path / "venv/bin/python")
    )


def test_an_interpreter_may_be_named_as_on_a_command_line(tmp_path: Path, monkeypatch):
    named = tmp_path / "bin" / "python-with-detectron2"
    named.parent.mkdir()
    named.write_text("#!/bin/sh\n")
    named.chmod(0o755)
    monkeypatch.setenv("PATH", str(named.parent))
    assert detector_files(python=Path(named.name)) == DetectorFiles(python=str(named))


def test_a_model_gets_the_detector_that_cut_its_images_or_none(workspace: Workspace) -> None:
    rule = crop(detector="ssd-mobilenet-v2")
    assert reopened(workspace, rule, DetectorFiles()).crop == rule
    with pytest.raises(InputError, match="is not the one"):
        reopened(workspace, crop(detector="ssd-mobilenet-v2", digest="0"), DetectorFiles())
