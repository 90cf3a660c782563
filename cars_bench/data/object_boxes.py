"""Where the object lies in every view of every image: what a head with a box learns.

Nothing of it is stored: a box follows from the dataset's row and from the view alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cars_bench.data.dataset import Dataset, LabelledImage, Split
from cars_bench.data.pixels import View, box_in_view
from cars_bench.data.policies import NAMED, Policy
from cars_bench.errors import UsageError

LEAST_SEEN = 0.25
"""Share of the object that a view must show to have a box."""
UNKNOWN = (math.nan,) * 4


@dataclass(frozen=True)
class ObjectBoxes:
    """The boxes of a split's images, indexed like their stored activations.

    Attributes:
        images: N images, whole.
        policy: Augmentation of the views above 0.
        seed: Of the augmentation.
        views: V.
    """

    images: Sequence[LabelledImage]
    policy: Policy = NAMED["none"]
    seed: int = 0
    views: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, V, 4)`."""
        return (len(self.images), self.views, len(UNKNOWN))

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, shares of the view's sides, 0 to 1, or NaN."""
        return np.dtype(np.float32)

    def __getitem__(self, index: tuple[Any, Any]) -> npt.NDArray[Any]:
        """x1, y1, x2, y2 float32 `[..., 4]` of image and view indices `[...]`."""
        images, views = np.broadcast_arrays(*index)
        pairs = zip(images.ravel().tolist(), views.ravel().tolist(), strict=True)
        found = [self._box(image, view) for image, view in pairs]
        return np.array(found, np.float32).reshape(*images.shape, len(UNKNOWN))

    def in_memory(self) -> npt.NDArray[np.float32]:
        """All of them, float32 `[N, V, 4]`."""
        return np.asarray(self[np.arange(len(self.images))[:, None], np.arange(self.views)[None]])

    def _box(self, image: int, view: int) -> tuple[float, ...]:
        item = self.images[image]
        if item.box is None:
            return UNKNOWN
        window = (0.0, 0.0, float(item.width), float(item.height))
        which = View(self.policy, self.seed, item.image_id, view)
        return box_in_view(item.box, window, which, LEAST_SEEN) or UNKNOWN


def object_images(dataset: Dataset, split: Split) -> list[LabelledImage]:
    """The images of a split in the order of `Dataset.records`, with their boxes.

    Raises:
        UsageError: They are cut to their boxes, or none has one.
    """
    if dataset.is_cropped:
        raise UsageError(
            f"A head with a box needs whole pictures, and those of {dataset.name!r} are cut to "
            "their boxes.",
            "prepare with --crop none and another --name, then extract",
        )
    if not dataset.card.boxes:
        raise UsageError(
            f"A head with a box needs boxes, and the dataset {dataset.name!r} has none.",
            "prepare with --boxes detector, then extract",
        )
    return [dataset.images[record.image_id] for record in dataset.records(split)]
