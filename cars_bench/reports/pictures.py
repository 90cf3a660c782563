"""Pictures as data URIs: thumbnails within a budget of bytes, an atlas of tiles, contact strips."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from cars_bench.cache.decoding import ImageSource
from cars_bench.data.dataset import Dataset, ImageRecord, evenly
from cars_bench.data.images import ImageUnusable, decode_near

SIDE_PIXELS = 112
QUALITY = 62
ATLAS_COLUMNS = 30
ATLAS_WIDTH = 48
ATLAS_HEIGHT = 36
"""Pixels of one tile of the atlas."""
STRIP_TILES = 36
FEWEST_STRIPS = 4
MOST_STRIPS = 12
MOST_VIEWS = 6
STRIP_PIXELS = 96
GAP_PIXELS = 2


class Thumbnails:
    """Makes pictures of a dataset's images until the budget is spent.

    Args:
        dataset: Where the images are; `None` gives no pictures.
        budget_bytes: Upper bound on the bytes of all data URIs handed out.
    """

    def __init__(self, dataset: Dataset | None, budget_bytes: int) -> None:
        self.left_bytes = budget_bytes
        self._made: dict[tuple[str, int], str] = {}
        self._crop = dataset is not None and dataset.is_cropped
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


@dataclass(frozen=True)
class Atlas:
    """One picture of tiles, row by row.

    Attributes:
        uri: The picture as a data URI; empty where there are no images.
        tiles: Position of each image's tile.
    """

    uri: str
    tiles: dict[str, int]


def make_atlas(thumbnails: Thumbnails, image_ids: Iterable[str]) -> Atlas:
    """Lay out the pictures that can be read, each filling its tile."""
    pictures = {}
    for image_id in dict.fromkeys(image_ids):
        picture = thumbnails.picture(image_id, ATLAS_WIDTH * 2)
        if picture is not None:
            pictures[image_id] = _fill(picture)
    if not pictures:
        return Atlas("", {})
    rows = -(-len(pictures) // ATLAS_COLUMNS)
    sheet = Image.new("RGB", (ATLAS_COLUMNS * ATLAS_WIDTH, rows * ATLAS_HEIGHT))
    for place, picture in enumerate(pictures.values()):
        row, column = divmod(place, ATLAS_COLUMNS)
        sheet.paste(picture, (column * ATLAS_WIDTH, row * ATLAS_HEIGHT))
    return Atlas(data_uri(sheet), {name: place for place, name in enumerate(pictures)})


def _fill(picture: Image.Image) -> Image.Image:
    """Cut the middle of a picture to the shape of a tile and shrink it."""
    width = min(picture.width, round(picture.height * ATLAS_WIDTH / ATLAS_HEIGHT))
    height = min(picture.height, round(picture.width * ATLAS_HEIGHT / ATLAS_WIDTH))
    left = (picture.width - width) / 2
    top = (picture.height - height) / 2
    middle = (left, top, left + width, top + height)
    return picture.resize((ATLAS_WIDTH, ATLAS_HEIGHT), Image.Resampling.LANCZOS, middle)


@dataclass(frozen=True)
class Strip:
    """One training image: its views side by side, the plain one first.

    Attributes:
        uri: The picture as a data URI.
        views: How many views stand on it.
    """

    image_id: str
    class_name: str
    uri: str
    views: int


def contact_strips(source: ImageSource, views: int) -> tuple[Strip, ...]:
    """Draw a few training images, as the network sees them, spread over the classes.

    At most `STRIP_TILES` tiles in all, and `MOST_VIEWS` views of an image.

    Raises:
        InputError: An image is gone or changed.
    """
    return tuple(_strips(source, min(views, MOST_VIEWS)))


def _strips(source: ImageSource, views: int) -> Iterator[Strip]:
    for record in _picked(source.records["train"], STRIP_TILES // max(views, 1)):
        tiles = [_tile(source, record, view) for view in range(views)]
        name = source.dataset.class_names[record.label]
        yield Strip(record.image_id, name, data_uri(_beside(tiles)), views)


def _picked(records: list[ImageRecord], wanted: int) -> list[ImageRecord]:
    """A few records spread evenly over the classes."""
    ordered = sorted(records, key=lambda record: (record.label, record.image_id))
    return evenly(ordered, max(FEWEST_STRIPS, min(MOST_STRIPS, wanted)))


def _tile(source: ImageSource, record: ImageRecord, view: int) -> Image.Image:
    picture = Image.fromarray(source.pixels(record, view))
    return picture.resize((STRIP_PIXELS, STRIP_PIXELS), Image.Resampling.LANCZOS)


def _beside(tiles: list[Image.Image]) -> Image.Image:
    step = STRIP_PIXELS + GAP_PIXELS
    sheet = Image.new("RGB", (len(tiles) * step - GAP_PIXELS, STRIP_PIXELS), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place * step, 0))
    return sheet
