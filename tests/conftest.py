"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cars_bench.data.dataset import Dataset
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.keras_backend import set_tensorflow_defaults
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.sharing import made_once

set_tensorflow_defaults()

pytest_plugins = ("tests.pipeline",)

TINY_CLASSES = ("bar", "cross", "disc", "square")
TINY_IMAGES, TINY_SIDE = 60, 48


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `labels.csv` (boxes layout) and `images/`: 60 drawn 48x48 images, 4 classes."""
    return made_once(tmp_path_factory, "tiny-source", _draw_source)


def _draw_source(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    rows = ["filename,min_x,min_y,max_x,max_y,target,train_or_test,car_names"]
    for number in range(TINY_IMAGES):
        label = number % len(TINY_CLASSES)
        name = f"{number:03d}.png"
        box = _draw_tiny(folder / "images" / name, label, number)
        split = ("train", "train", "train", "val", "test")[number // len(TINY_CLASSES) % 5]
        fields = [name, *box, label + 1, split, TINY_CLASSES[label]]
        rows.append(",".join(map(str, fields)))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def tiny_dataset(workspace: Workspace, tiny_source: Path) -> Dataset:
    """`tiny_source` prepared in `workspace`: 36 train, 12 val and 12 test images."""
    return prepare(workspace, PrepareOptions(source=tiny_source, name="tiny"), Progress())


@pytest.fixture(scope="session")
def real_cars() -> Path:
    """The folder with the real cars; skips where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "stanford_cars"
    folder = Path(os.environ.get("CARS_BENCH_REALDATA") or beside)
    if not folder.is_dir():
        pytest.skip("the real cars are not here (CARS_BENCH_REALDATA)")
    return folder


def _draw_tiny(path: Path, label: int, number: int) -> tuple[int, int, int, int]:
    """One coloured shape on noise; returns its box."""
    rng = np.random.default_rng(number)
    noise = rng.integers(0, 90, (TINY_SIDE, TINY_SIDE, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    left, top = (int(value) for value in rng.integers(2, 20, 2))
    colour = tuple(int(value) for value in rng.integers(150, 256, 3))
    right, bottom = left + 24, top + 24
    if TINY_CLASSES[label] == "bar":
        draw.rectangle((left, top + 8, right, top + 15), fill=colour)
    elif TINY_CLASSES[label] == "cross":
        draw.line((left, top, right, bottom), fill=colour, width=5)
        draw.line((left, bottom, right, top), fill=colour, width=5)
    elif TINY_CLASSES[label] == "disc":
        draw.ellipse((left, top, right, bottom), fill=colour)
    else:
        draw.rectangle((left, top, right, bottom), outline=colour, width=5)
    image.save(path)
    return left, top, right + 1, bottom + 1
