"""A contact sheet: what the head was trained on, as the network sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cars_bench.cache.decoding import ImageSource, source_of
from cars_bench.data.dataset import ImageRecord
from cars_bench.errors import CarsBenchError
from cars_bench.reports.inputs import Sources
from cars_bench.reports.thumbnails import data_uri

TILES, FEWEST, MOST, MOST_VIEWS = 36, 4, 12, 6
TILE_PIXELS, GAP_PIXELS = 96, 2


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


def contact_strips(sources: Sources) -> tuple[Strip, ...]:
    """Draw a few training images spread over the classes, at most `TILES` views in all.

    Empty where the images are not here, or are no longer those of the cache.
    """
    dataset, manifest = sources.dataset, sources.manifest
    if dataset is None or manifest is None:
        return ()
    if dataset.digest != manifest.recipe.dataset_digest:
        return ()
    views = min(manifest.views("train"), MOST_VIEWS)
    try:
        return tuple(_strips(source_of(manifest.recipe, dataset), views))
    except CarsBenchError:
        return ()


def _strips(source: ImageSource, views: int) -> Iterator[Strip]:
    for record in _picked(source.records["train"], TILES // max(views, 1)):
        tiles = [_tile(source, record, view) for view in range(views)]
        name = source.dataset.class_names[record.label]
        yield Strip(record.image_id, name, data_uri(_beside(tiles)), views)


def _picked(records: list[ImageRecord], wanted: int) -> list[ImageRecord]:
    """A few records spread evenly over the classes."""
    ordered = sorted(records, key=lambda record: (record.label, record.image_id))
    count = min(len(ordered), max(FEWEST, min(MOST, wanted)))
    return [ordered[place] for place in np.linspace(0, len(ordered) - 1, count).round().astype(int)]


def _tile(source: ImageSource, record: ImageRecord, view: int) -> Image.Image:
    picture = Image.fromarray(source.pixels(record, view))
    return picture.resize((TILE_PIXELS, TILE_PIXELS), Image.Resampling.LANCZOS)


def _beside(tiles: list[Image.Image]) -> Image.Image:
    step = TILE_PIXELS + GAP_PIXELS
    sheet = Image.new("RGB", (len(tiles) * step - GAP_PIXELS, TILE_PIXELS), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place * step, 0))
    return sheet
