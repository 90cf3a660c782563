"""Small pictures as data URIs, within a budget of bytes."""

from __future__ import annotations

import base64
import io

from PIL import Image

from cars_bench.data.dataset import Dataset
from cars_bench.data.images import ImageUnusable, decode_near

SIDE_PIXELS = 112
QUALITY = 62


class Thumbnails:
    """Makes pictures of a dataset's images until the budget is spent.

    Args:
        dataset: Where the images are; `None` gives no pictures.
        budget_bytes: Upper bound on the bytes of all data URIs handed out.
    """

    def __init__(self, dataset: Dataset | None, budget_bytes: int) -> None:
        self.left_bytes = budget_bytes
        self._made: dict[tuple[str, int], str] = {}
        self._crop = dataset is not None and dataset.crop == "boxes"
        self._images = dataset.images if dataset is not None else {}

    def uri(self, image_id: str, side: int = SIDE_PIXELS) -> str:
        """The image as a data URI at most `side` pixels wide; empty where there is none."""
        key = (image_id, side)
        if key not in self._made:
            self._made[key] = self._make(image_id, side)
        uri = self._made[key]
        if len(uri) > self.left_bytes:
            return ""
        self.left_bytes -= len(uri)
        return uri

    def picture(self, image_id: str, side: int) -> Image.Image | None:
        """The image, cut to its box where the dataset is, at most `side` pixels wide and high."""
        found = self._images.get(image_id)
        if found is None:
            return None
        try:
            image, window = decode_near(found.path, side, found.box if self._crop else None)
        except (ImageUnusable, OSError):
            return None
        left, top, right, bottom = (round(edge) for edge in window)
        image = image.crop((left, top, right, bottom))
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return image

    def _make(self, image_id: str, side: int) -> str:
        image = self.picture(image_id, side)
        return "" if image is None else data_uri(image)


def data_uri(image: Image.Image) -> str:
    """A picture as a WebP data URI."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
