"""Where the finished model looked, as plain numbers; and the pictures that show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cars_bench.data.dataset import Dataset, LabelledImage
from cars_bench.evaluation.metrics import Estimate, bootstrap
from cars_bench.finetune.heatmaps import Heatmap, overlaid
from cars_bench.reports.inputs import Inputs
from cars_bench.reports.pictures import Thumbnails, data_uri
from cars_bench.training.batches import covered

SHOWN = 12
SIDE_PIXELS = 168

Floats = npt.NDArray[np.float64]
UnitBox = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Look:
    """One test image and where the model looked on it.

    Attributes:
        heat: Grad-CAM by row and column of the last feature map, 0 to 1.
        box: The object's box as shares of width and height; `None` where there is none.
        in_box: Share of the heat inside it, in [0, 1].
        box_area: Share of the picture that it covers.
    """

    image_id: str
    true: str
    predicted: str
    heat: tuple[tuple[float, ...], ...]
    box: UnitBox | None
    in_box: float | None
    box_area: float | None

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.true == self.predicted


@dataclass(frozen=True, kw_only=True)
class LookFacts:
    """Of the chosen run.

    Attributes:
        errors: The most confident errors, the most confident first.
        in_box_right: Mean share of the heat in the box over right answers, with a 95% interval.
        in_box_wrong: The same over errors.
        box_area: Mean share of the picture that the boxes cover: what even heat would score.
    """

    method: str
    errors: tuple[Look, ...]
    in_box_right: Estimate | None
    in_box_wrong: Estimate | None
    box_area: float | None


def facts(inputs: Inputs) -> LookFacts | None:
    """Read the chosen run's heatmaps; `None` where they were not computed."""
    if inputs.heatmaps is None or inputs.dataset is None:
        return None
    images = inputs.dataset.images
    crop = inputs.dataset.is_cropped
    looks = [
        _look(item, images[item.image_id], crop)
        for item in inputs.heatmaps.images
        if item.image_id in images
    ]
    areas = [look.box_area for look in looks if look.box_area is not None]
    return LookFacts(
        method=inputs.heatmaps.method,
        errors=tuple(look for look in looks if not look.right)[:SHOWN],
        in_box_right=_mean([look for look in looks if look.right]),
        in_box_wrong=_mean([look for look in looks if not look.right]),
        box_area=float(np.mean(areas)) if areas else None,
    )


def _look(item: Heatmap, image: LabelledImage, crop: bool) -> Look:
    box = None if crop else image.unit_box
    return Look(
        image_id=item.image_id,
        true=image.class_name,
        predicted=item.predicted,
        heat=item.heat,
        box=box,
        in_box=share_inside(np.array(item.heat, np.float64), box) if box else None,
        box_area=(box[2] - box[0]) * (box[3] - box[1]) if box else None,
    )


def _mean(looks: list[Look]) -> Estimate | None:
    shares = [look.in_box for look in looks if look.in_box is not None]
    return bootstrap(np.array(shares)) if shares else None


def share_inside(heat: Floats, box: UnitBox) -> float:
    """Share of the heat inside a box, each cell's heat lying evenly over the cell.

    Args:
        heat: float `[h, w]`, not negative.
        box: Shares of width and height.
    """
    left, top, right, bottom = np.array(box)[:, None]
    rows = covered(np, top, bottom, heat.shape[0])[0]
    columns = covered(np, left, right, heat.shape[1])[0]
    total = float(heat.sum())
    return float(rows @ heat @ columns) / total if total else 0.0


def figure(
    facts: LookFacts | None, dataset: Dataset | None, thumbnails: Thumbnails
) -> dict[str, tuple[str, str]]:
    """The plain picture and the one with the heat over it, as data URIs by image."""
    if facts is None or dataset is None:
        return {}
    found = {look: thumbnails.picture(look.image_id, SIDE_PIXELS) for look in facts.errors}
    return {
        look.image_id: (data_uri(picture), data_uri(_heated(picture, look)))
        for look, picture in found.items()
        if picture is not None
    }


def _heated(picture: Image.Image, look: Look) -> Image.Image:
    """The picture under its heat, with the box drawn in."""
    mixed = overlaid(picture, look.heat)
    if look.box:
        sides = (picture.width - 1, picture.height - 1) * 2
        corners = [share * side for share, side in zip(look.box, sides, strict=True)]
        ImageDraw.Draw(mixed).rectangle(corners, outline="white")
    return mixed
