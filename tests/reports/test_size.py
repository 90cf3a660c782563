"""How large a report becomes: 196 classes and 300 trials, with pictures as rich as photographs."""

from __future__ import annotations

import functools
import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cars_bench.errors import CarsBenchError
from cars_bench.reports import render
from cars_bench.reports.page import build_report
from cars_bench.reports.pictures import Thumbnails
from cars_bench.reports.render import LIMIT_BYTES
from tests.reports import workspaces
from tests.reports.workspaces import make_workspace

MOST_BYTES = 3_000_000
MAKES = ("Acura", "Audi", "BMW", "Dodge", "Ford", "Honda", "Jeep", "Kia", "Mazda", "Volvo")
CLASSES = tuple(
    f"{MAKES[n % 10]} Model Number {n:03d} {('Sedan', 'SUV', 'Coupe')[n % 3]} {2000 + n % 13}"
    for n in range(196)
)


@functools.cache
def _octaves(width: int, height: int) -> list[np.ndarray]:
    """Noise at every scale, coarse ones strongest, as in photographs (Field 1987)."""
    generator = np.random.default_rng(0)
    layers, cells = [], 2
    while cells <= width:
        small = generator.normal(0, 90 / cells**0.8, (max(cells * 3 // 4, 2), cells, 3))
        bands = [
            Image.fromarray(small[..., band].astype(np.float32)).resize((width, height))
            for band in range(3)
        ]
        layers.append(np.stack([np.asarray(band) for band in bands], axis=-1))
        cells *= 2
    return layers


def _photograph(image_id: str, side: int) -> Image.Image:
    """A picture of its own for every image, with detail down to the pixel."""
    seed = zlib.crc32(image_id.encode())
    width, height = side, side * 3 // 4
    total = np.full((height, width, 3), 128.0)
    for number, layer in enumerate(_octaves(width, height)):
        shift = ((seed >> number) % height, (seed >> (2 * number)) % width)
        total += np.roll(layer, shift, axis=(0, 1))
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def _row(folder: Path, label: int, name: str, place: int, split: str) -> dict[str, object]:
    """A dataset's row whose image is never opened."""
    image_id = f"{label:03d}/{place:02d}.jpg"
    digest = hashlib.sha256(image_id.encode()).hexdigest()
    box = {"x1": 8.0, "y1": 14.0, "x2": 80.0, "y2": 56.0}
    about = {"image_id": image_id, "path": str(folder / image_id), "class_name": name}
    size = {"width": 96, "height": 64, "sha256": digest}
    return about | {"label": label, "split": split} | size | box


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workspaces, "_image", _row)
    monkeypatch.setattr(Thumbnails, "picture", lambda _, name, side: _photograph(name, side))
    return make_workspace(tmp_path, trials=300, classes=CLASSES)


def test_a_large_study_makes_a_page_that_can_be_sent(large):
    path = build_report(large)
    page = path.read_text("utf-8")
    assert page.count("data:image/webp") > 100
    assert path.stat().st_size <= MOST_BYTES


def test_a_page_too_large_is_refused_in_a_sentence_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "LIMIT_BYTES", 10_000)
    workspace = make_workspace(tmp_path, "prepared")
    with pytest.raises(CarsBenchError, match=r"would be \d+\.\d MB, above its limit"):
        build_report(workspace)
    assert not workspace.reports.exists()


def test_the_limit_is_five_megabytes():
    assert LIMIT_BYTES == 5_000_000
