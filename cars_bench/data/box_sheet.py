"""A contact sheet of what a detector found: pictures whole, with the box that they are cut to."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from cars_bench.atomic import atomic_file
from cars_bench.data.dataset import Dataset, LabelledImage, evenly
from cars_bench.data.images import ImageUnusable, decode_near

SHEET_FILE = "boxes.webp"
PICTURES = 48
COLUMNS = 8
TILE_PIXELS = 160
GAP_PIXELS = 4
LINE_PIXELS = 2
LINE_COLOUR = (255, 0, 128)
QUALITY = 80
WHOLE_SHARE = 3
"""At most every third picture is one without a box, however many there are."""


def write_sheet(dataset: Dataset) -> Path:
    """Draw `boxes.webp` in the dataset's folder."""
    tiles = [
        tile
        for item in shown(dataset, PICTURES)
        if (tile := boxed(item, TILE_PIXELS - GAP_PIXELS)) is not None
    ]
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE_PIXELS, rows * TILE_PIXELS), "white")
    for place, tile in enumerate(tiles):
        row, column = divmod(place, COLUMNS)
        sheet.paste(tile, (column * TILE_PIXELS, row * TILE_PIXELS))
    path = dataset.folder / SHEET_FILE
    with atomic_file(path) as stream:
        sheet.save(stream, "WEBP", quality=QUALITY)
    return path


def shown(dataset: Dataset, most: int) -> list[LabelledImage]:
    """Pictures spread over the dataset, those without a box first."""
    images = list(dataset.images.values())
    whole = evenly([item for item in images if item.box is None], most // WHOLE_SHARE)
    return whole + evenly([item for item in images if item.box], most - len(whole))


def boxed(item: LabelledImage, side: int) -> Image.Image | None:
    """The whole picture, at most `side` pixels wide and high, its box drawn; `None` if unreadable.

    A picture that is taken whole is framed by nothing.
    """
    try:
        image, _ = decode_near(item.path, side)
    except (ImageUnusable, OSError):
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    if item.unit_box:
        sides = (image.width, image.height, image.width, image.height)
        edges = [edge * length for edge, length in zip(item.unit_box, sides, strict=True)]
        ImageDraw.Draw(image).rectangle(edges, outline=LINE_COLOUR, width=LINE_PIXELS)
    return image
