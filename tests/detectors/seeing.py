"""A detector of our own that needs no weights, and pictures for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from cars_bench.data.detection import Detection, DetectorCrop, Picture
from cars_bench.data.images import Box, decode_image
from cars_bench.detectors.detector import Detector, Prepared
from cars_bench.detectors.finder import Finder
from cars_bench.errors import DetectorFailed
from cars_bench.workspace import Workspace

RED = (255, 0, 0)
GREEN = (0, 255, 0)
COLOURS = {"red": RED, "green": GREEN}


class ColourDetector(Detector):
    """Frames what is red and what is green, in pictures shrunk to half.

    Attributes:
        looks: Pictures that it was asked about.
        dies_after: It fails at the picture after so many.
    """

    def __init__(self, dies_after: int | None = None, digest: str = "d" * 64) -> None:
        self.name = "colours:v1"
        self.digest = digest
        self.class_names = tuple(COLOURS)
        self.looks = 0
        self.dies_after = dies_after

    def prepared(self, path: Path) -> Prepared:
        image = decode_image(path)
        half = image.resize((image.width // 2, image.height // 2), Image.Resampling.NEAREST)
        return Prepared(np.asarray(half), half.width, half.height)

    def detect(self, pictures: Iterable[Prepared]) -> Iterator[tuple[Detection, ...]]:
        for picture in pictures:
            if self.looks == self.dies_after:
                raise DetectorFailed("The detector died.", "run it again")
            self.looks += 1
            yield tuple(
                Detection(box, name, 0.9)
                for name, colour in COLOURS.items()
                if (box := _framed(picture.pixels, colour))
            )


def _framed(pixels: np.ndarray, colour: tuple[int, int, int]) -> Box | None:
    down, across = np.nonzero((pixels == colour).all(axis=-1))
    if not len(down):
        return None
    return (
        float(across.min()),
        float(down.min()),
        float(across.max() + 1),
        float(down.max() + 1),
    )


def crop(**changes: object) -> DetectorCrop:
    """The rule that takes whatever the detector of colours sees."""
    return DetectorCrop(**({"detector": "colours:v1", "digest": "d" * 64} | changes))


def finder(workspace: Workspace, detector: ColourDetector | None = None, **changes) -> Finder:
    """A finder with the detector of colours."""
    return Finder(workspace, detector or ColourDetector(), crop(**changes))


def draw(path: Path, size: tuple[int, int] = (64, 48), **boxes: tuple[int, int, int, int]) -> Path:
    """A grey picture with a rectangle of each named colour."""
    image = Image.new("RGB", size, (90, 90, 90))
    for name, box in boxes.items():
        image.paste(COLOURS[name], box)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def picture(path: Path) -> Picture:
    """A file as `prepare` hands it to a finder."""
    with Image.open(path) as image:
        width = image.width
        height = image.height
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Picture(path=path, sha256=digest, width=width, height=height)
