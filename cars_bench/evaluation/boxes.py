"""How well boxes are told: intersection over union, its mean, and the shares above 0.5 and 0.75."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cars_bench.data.images import Box
from cars_bench.evaluation.metrics import Estimate, bootstrap, wilson
from cars_bench.evaluation.predictions import Predictions

LOOSE = 0.5
"""IoU from which a box counts as found in PASCAL VOC (Everingham et al. 2010)."""
TIGHT = 0.75
"""The stricter bound of COCO (Lin et al. 2014)."""


@dataclass(frozen=True, kw_only=True)
class BoxScore:
    """How good the boxes of one split are.

    Attributes:
        mean_iou: Mean IoU with the true box, with its bootstrap 95% interval.
        above_50: Share of the boxes with an IoU above 0.5, with Wilson's 95% interval.
        above_75: The same above 0.75.
        n: Images whose true box is known.
    """

    mean_iou: Estimate
    above_50: Estimate
    above_75: Estimate
    n: int

    @property
    def text(self) -> str:
        """In a line without its full stop."""
        mean = self.mean_iou
        return (
            f"mean IoU {mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f}), above {LOOSE:g} in "
            f"{self.above_50.value:.1%}, above {TIGHT:g} in {self.above_75.value:.1%} of "
            f"{self.n:,} images"
        )


def ious(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes x1, y1, x2, y2 `[N, 4]`, pair by pair, `[N]`, in [0, 1]."""
    first, second = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (one, other))
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    common = np.clip(sides, 0, None).prod(axis=1)
    union = _areas(first) + _areas(second) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def ious_by_image(answers: Predictions, true: Mapping[str, Box | None]) -> dict[str, float]:
    """IoU of every image that has both boxes, in the order of the answers.

    Args:
        answers: With the boxes that were told, in pixels of the originals.
        true: The true ones, likewise, by image.
    """
    pairs = {row.image_id: (true.get(row.image_id), row.box) for row in answers}
    both = {name: pair for name, pair in pairs.items() if pair[0] and pair[1]}
    found = np.array(list(both.values()), np.float64).reshape(-1, 2, 4)
    return dict(zip(both, ious(found[:, 0], found[:, 1]).tolist(), strict=True))


def box_score(answers: Predictions, true: Mapping[str, Box | None]) -> BoxScore | None:
    """How good the boxes are; `None` where there are none to compare.

    Args:
        answers: As for `ious_by_image`.
        true: Likewise.
    """
    return overlap_score(np.array(list(ious_by_image(answers, true).values())))


def overlap_score(found: npt.NDArray[np.floating]) -> BoxScore | None:
    """The same of overlaps `[N]`; `None` of none."""
    if not found.size:
        return None
    return BoxScore(
        mean_iou=bootstrap(found),
        above_50=wilson(int((found > LOOSE).sum()), found.size),
        above_75=wilson(int((found > TIGHT).sum()), found.size),
        n=found.size,
    )


def _areas(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
