from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.data.prepare import PrepareOptions
from cars_bench.detectors import choose
from cars_bench.detectors.prepare import BoxesAsked, check_boxed, prepare_boxed
from cars_bench.errors import UsageError
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.detectors.seeing import ColourDetector, draw


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of pictures of a red and a green thing, and a detector that sees them."""
    for number in range(12):
        folder = tmp_path / "source" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        draw(folder / f"{number}.png", red=(10 + number, 4, 30, 24), green=(34, 6, 60, 40))
    monkeypatch.setattr(choose, "open_detector", lambda name, files: ColourDetector())
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("crop", "boxes", "kept"),
    [
        ("none", "source", "none"),
        ("detector", "source", "detector"),
        ("none", "detector", "none"),
    ],
)
def test_a_detector_is_asked_where_one_is_named_and_cuts_only_as_a_crop(
    workspace: Workspace, source: Path, crop: str, boxes: str, kept: str
) -> None:
    options = PrepareOptions(source=source, name="seen", crop=crop)
    dataset = prepare_boxed(workspace, options, BoxesAsked(boxes=boxes), Progress())
    assert dataset.crop == kept
    assert bool(dataset.card.detection) == ("detector" in (crop, boxes))
    assert dataset.card.boxes == (12 if dataset.card.detection else 0)


def test_a_crop_and_boxes_that_exclude_each_other_are_refused_before_anything_is_read(
    workspace: Workspace, source: Path
) -> None:
    options = PrepareOptions(source=source, crop="detector")
    asked = BoxesAsked(boxes="detector")
    with pytest.raises(UsageError, match="leaves pictures whole"):
        prepare_boxed(workspace, options, asked, Progress())
    with pytest.raises(UsageError, match="leaves pictures whole"):
        check_boxed(options, asked)
    assert not workspace.datasets.exists()
