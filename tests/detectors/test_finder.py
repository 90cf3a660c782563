"""Covers cars_bench/detectors/detector.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cars_bench.detectors import finder as finding
from cars_bench.detectors.box_store import BoxStore
from cars_bench.errors import DetectorFailed
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.detectors.seeing import ColourDetector, draw, finder, picture


def pictures(folder: Path, count: int):
    return [
        picture(draw(folder / f"{number}.png", red=(2 * number, 4, 2 * number + 20, 40)))
        for number in range(count)
    ]


def test_boxes_come_back_in_pixels_of_the_original_surest_first(
    workspace: Workspace, tmp_path: Path
) -> None:
    item = picture(draw(tmp_path / "a.png", red=(10, 4, 30, 24), green=(34, 6, 60, 40)))
    (seen,) = finder(workspace).find([item], Progress())
    assert {found.class_name: found.box for found in seen} == {
        "red": (10, 4, 30, 24),
        "green": (34, 6, 60, 40),
    }


def test_a_picture_is_looked_at_once_whatever_its_name(
    workspace: Workspace, tmp_path: Path
) -> None:
    detector = ColourDetector()
    items = pictures(tmp_path, 5)
    again = [picture(draw(tmp_path / "copy.png", red=(0, 4, 20, 40))), *items]
    first = finder(workspace, detector).find(items, Progress())
    second = finder(workspace, detector, threshold=0.5, margin=0.1).find(again, Progress())
    assert detector.looks == 5
    assert second == [first[0], *first]


def test_another_version_of_a_detector_looks_anew(workspace: Workspace, tmp_path: Path) -> None:
    items = pictures(tmp_path, 2)
    finder(workspace).find(items, Progress())
    newer = ColourDetector(digest="e" * 64)
    finder(workspace, newer).find(items, Progress())
    assert newer.looks == 2


@pytest.mark.parametrize("dies_after", [0, 1, 7])
def test_what_was_found_before_a_detector_died_is_kept(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    monkeypatch.setattr(finding, "KEPT_EVERY", 3)
    items = pictures(tmp_path, 9)
    with pytest.raises(DetectorFailed):
        finder(workspace, ColourDetector(dies_after)).find(items, Progress())
    rest = ColourDetector()
    seen = finder(workspace, rest).find(items, Progress())
    assert rest.looks == 9 - dies_after
    assert [found[0].box[0] for found in seen] == [2 * number for number in range(9)]


def test_a_line_holds_what_a_script_needs(workspace: Workspace, tmp_path: Path) -> None:
    (item,) = pictures(tmp_path, 1)
    finder(workspace).find([item], Progress())
    (path,) = (workspace.root / "cache" / "boxes").glob("*.jsonl")
    line = json.loads(path.read_text())
    assert path.name == "colours-v1.jsonl"
    assert line["sha256"] == item.sha256
    assert line["detector"] == "d" * 64
    assert line["boxes"] == [{"box": [0.0, 4.0, 20.0, 40.0], "class_name": "red", "score": 0.9}]


def test_a_picture_that_shows_nothing_is_remembered_too(
    workspace: Workspace, tmp_path: Path
) -> None:
    detector = ColourDetector()
    item = picture(draw(tmp_path / "grey.png"))
    for _ in range(2):
        assert finder(workspace, detector).find([item], Progress()) == [()]
    assert detector.looks == 1
    assert BoxStore.of(workspace, detector.name, detector.digest).known() == {item.sha256: ()}
