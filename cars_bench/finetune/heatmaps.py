"""Where a finished model looked on a few test images: numbers kept beside its run.

A report lays them over the pictures, so that it needs neither Keras nor the
model; neither is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cars_bench.data.dataset import evenly
from cars_bench.documents import read_record, write_record
from cars_bench.errors import InputError
from cars_bench.evaluation.predictions import Prediction, Predictions

HEATMAPS_FILE = "heatmaps.json"
HEATMAPS = "cars-bench report --heatmaps"
MOST_WRONG = 24
MOST_RIGHT = 24

OPACITY = 0.72
COOL = 0.35  # share of that opacity which stays where nothing speaks for the answer
# viridis (van der Walt & Smith 2015) at five even places
VIRIDIS = np.array(
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float64
)


@dataclass(frozen=True)
class Heatmap:
    """One image.

    Attributes:
        image_id: The image.
        predicted: Name of the class answered.
        heat: What spoke for it, by row and column of the last feature map, 0 to 1.
    """

    image_id: str
    predicted: str
    heat: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Heatmaps:
    """What `heatmaps.json` says.

    Attributes:
        method: How the heat was computed.
        images: The most confident errors, then some right answers.
    """

    method: str
    images: tuple[Heatmap, ...]


def has_heatmaps(folder: Path) -> bool:
    """Whether a run's folder holds them."""
    return (folder / HEATMAPS_FILE).is_file()


def read_heatmaps(folder: Path) -> Heatmaps | None:
    """The heatmaps of a run's folder; `None` where they were not computed.

    Raises:
        RecordDamaged: The file is not what was written.
    """
    if not has_heatmaps(folder):
        return None
    missing = InputError(f"There are no heatmaps in {folder}.", HEATMAPS)
    path = folder / HEATMAPS_FILE
    return read_record(path, Heatmaps, missing, f"delete {path}, then {HEATMAPS}")


def write_heatmaps(folder: Path, heatmaps: Heatmaps) -> Path:
    """Write them into a run's folder; the file."""
    write_record(folder / HEATMAPS_FILE, heatmaps)
    return folder / HEATMAPS_FILE


def choose(answers: Predictions | Sequence[Prediction]) -> list[Prediction]:
    """The most confident errors, most confident first, then right answers spread evenly."""
    wrong = [item for item in answers if not item.correct()]
    wrong.sort(key=lambda item: (-item.probabilities[0], item.image_id))
    right = sorted((item for item in answers if item.correct()), key=lambda item: item.image_id)
    return wrong[:MOST_WRONG] + evenly(right, MOST_RIGHT)


def overlaid(picture: Image.Image, heat: npt.ArrayLike) -> Image.Image:
    """Heat laid over a picture turned grey, dark to bright as it grows.

    Args:
        picture: Of any size.
        heat: `[h, w]`, 0 to 1.
    """
    small = Image.fromarray(np.asarray(heat, np.float32))
    wide = np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC), np.float64)
    wide = np.clip(wide, 0, 1)  # bicubic interpolation overshoots
    grey = np.asarray(picture.convert("L").convert("RGB"), np.float64)
    share = OPACITY * (COOL + (1 - COOL) * wide)[..., None]
    mixed = (1 - share) * grey + share * _viridis(wide)
    return Image.fromarray(mixed.round().astype(np.uint8))


def _viridis(share: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    places = np.linspace(0, 1, len(VIRIDIS))
    channels = [np.interp(share, places, VIRIDIS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1)
