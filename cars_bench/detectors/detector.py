"""What a detector is, and which there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cars_bench.data.detection import Detection


@dataclass(frozen=True)
class Prepared:
    """A picture as a detector wants it.

    Attributes:
        pixels: uint8 [h, w, 3], RGB.
        width: Its pixels that show the picture, from the left; the rest is padding.
        height: Likewise from the top.
    """

    pixels: np.ndarray
    width: float
    height: float


class Detector(ABC):
    """A network that names and frames what a picture shows.

    Attributes:
        name: What `--crop detector:NAME` takes.
        digest: SHA-256 over everything that can change what it answers.
        class_names: What it can name.
    """

    name: str
    digest: str
    class_names: tuple[str, ...]

    @abstractmethod
    def prepared(self, path: Path) -> Prepared:
        """Decode a picture as the network wants it; called from several threads.

        Raises:
            ImageUnusable: It cannot be decoded.
            OSError: The file cannot be read.
        """

    @abstractmethod
    def detect(self, pictures: Iterable[Prepared]) -> Iterator[tuple[Detection, ...]]:
        """What each picture shows, in order; boxes in the pixels of its `Prepared`.

        Raises:
            DetectorFailed: The network cannot go on.
        """
