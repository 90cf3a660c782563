"""Many tiny pictures in one: an atlas that the feature map and the confusion canvas look into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image

from cars_bench.reports.thumbnails import Thumbnails, data_uri

TILE_WIDTH, TILE_HEIGHT, COLUMNS = 48, 36, 30


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
        picture = thumbnails.picture(image_id, TILE_WIDTH * 2)
        if picture is not None:
            pictures[image_id] = _fill(picture)
    if not pictures:
        return Atlas("", {})
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE_WIDTH, rows * TILE_HEIGHT))
    for place, picture in enumerate(pictures.values()):
        sheet.paste(picture, (place % COLUMNS * TILE_WIDTH, place // COLUMNS * TILE_HEIGHT))
    return Atlas(data_uri(sheet), {name: place for place, name in enumerate(pictures)})


def _fill(picture: Image.Image) -> Image.Image:
    """Cut the middle of a picture to the shape of a tile and shrink it."""
    width = min(picture.width, round(picture.height * TILE_WIDTH / TILE_HEIGHT))
    height = min(picture.height, round(picture.width * TILE_HEIGHT / TILE_WIDTH))
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return picture.resize(
        (TILE_WIDTH, TILE_HEIGHT), Image.Resampling.LANCZOS, (left, top, left + width, top + height)
    )
