"""The offline detector on drawn pictures; on real ones where they are.

Covers cars_bench/detectors/network.py and cars_bench/detectors/coco.py.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cars_bench.data.detection import DetectorFiles, iou
from cars_bench.detectors import coco, network, ssd
from cars_bench.detectors.choose import finder_for
from cars_bench.detectors.finder import Finder
from cars_bench.errors import DetectorMissing, InputError, WeightsUnavailable
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.detectors.seeing import picture

VEHICLES = "car,truck,bus"
PASTED = 40


def test_the_classes_of_coco_have_their_numbers() -> None:
    assert len(coco.NAMES) == 80
    numbers = {name: number for number, name in coco.NAME_OF.items()}
    assert numbers["person"] == 1
    assert numbers["car"] == 3
    assert numbers["bus"] == 6
    assert numbers["truck"] == 8
    assert numbers["bird"] == 16
    assert numbers["toothbrush"] == 90


def test_without_openvino_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DetectorMissing, match="OpenVINO") as caught:
        network.read_network(Path("any.onnx"))
    assert "cars-bench[detector]" in caught.value.fix


@pytest.mark.parametrize("bytes_of_file", [b"", b"\x00\x01", b"<html></html>"])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, bytes_of_file: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(bytes_of_file)
    with pytest.raises(InputError, match=r"broken\.onnx is not a network"):
        network.read_network(path)


@pytest.mark.parametrize(
    "changes", [{"package": "no_such_package_here"}, {"sha256": "0" * 64}], ids=["absent", "other"]
)
def test_without_its_graph_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    monkeypatch.setattr(ssd, "GRAPH", dataclasses.replace(ssd.GRAPH, **changes))
    with pytest.raises(WeightsUnavailable) as caught:
        ssd.SsdMobileNetV2()
    assert "cars-bench[detector]" in caught.value.fix


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Finder:
    found = finder_for(
        Workspace(tmp_path_factory.mktemp("offline")), "detector", DetectorFiles(), classes=VEHICLES
    )
    assert found
    return found


@pytest.mark.slow
def test_nothing_is_found_in_a_picture_that_shows_nothing(offline: Finder, tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.new("RGB", (200, 120), (120, 130, 120)).save(path)
    (seen,) = offline.find([picture(path)], Progress())
    assert offline.crop.chosen(seen) is None


@pytest.mark.slow
@pytest.mark.realdata
def test_real_cars_pasted_into_other_pictures_are_found_where_they_are(
    offline: Finder, real_cars: Path, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    grounds = datasets.load_sample_images().images
    random = np.random.default_rng(0)
    cars = sorted((real_cars / "car_ims").glob("*.jpg"))
    pictures = []
    truths = []
    for number, index in enumerate(random.choice(len(cars), PASTED, replace=False)):
        ground = Image.fromarray(grounds[number % len(grounds)])
        car = Image.open(cars[index]).convert("RGB")
        width = int(random.integers(ground.width // 3, 2 * ground.width // 3))
        height = min(ground.height, round(car.height * width / car.width))
        left = int(random.integers(0, ground.width - width + 1))
        top = int(random.integers(0, ground.height - height + 1))
        ground.paste(car.resize((width, height)), (left, top))
        ground.save(tmp_path / f"{number}.png")
        pictures.append(picture(tmp_path / f"{number}.png"))
        truths.append((left, top, left + width, top + height))
    seen = offline.find(pictures, Progress())
    boxes = [offline.crop.box(found, item) for found, item in zip(seen, pictures, strict=True)]
    overlaps = [iou(box, truth) if box else 0.0 for box, truth in zip(boxes, truths, strict=True)]
    assert np.mean(overlaps) >= 0.75
