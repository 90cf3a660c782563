"""A contact sheet: what the head will be trained on, for a person to look at."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from cars_bench.cache.decoding import ImageSource, evenly, source_of
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import Dataset, ImageRecord
from cars_bench.workspace import Workspace, atomic_file

IMAGES = 12
MOST_COLUMNS = 10
_TILE = 160
_GAP = 4
_TITLE = 18


def contact_sheet(workspace: Workspace, cache: FeatureCache) -> Path:
    """Draw twelve training images, a row each, view 0 first.

    Returns:
        The PNG, `cache/sheets/KEY.png`.

    Raises:
        DatasetMissing: Its dataset is gone.
        InputError: An image is gone or changed.
    """
    source = source_of(cache.recipe, Dataset.load(workspace, cache.manifest.dataset))
    views = min(cache.manifest.views("train"), MOST_COLUMNS)
    picked = evenly(source.records["train"], IMAGES)
    width = _TILE + _GAP
    height = _TILE + _GAP + _TITLE
    sheet = Image.new("RGB", (views * width + _GAP, len(picked) * height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for row, record in enumerate(picked):
        for view in range(views):
            corner = (_GAP + view * width, _GAP + row * height)
            sheet.paste(_tile(source, record, view), (corner[0], corner[1] + _TITLE))
            draw.text(corner, record.image_id[-24:] if view == 0 else f"view {view}", "black")
    return _saved(sheet, workspace.root / "cache" / "sheets" / f"{cache.key}.png")


def _tile(source: ImageSource, record: ImageRecord, view: int) -> Image.Image:
    return Image.fromarray(source.pixels(record, view)).resize((_TILE, _TILE))


def _saved(sheet: Image.Image, path: Path) -> Path:
    with atomic_file(path) as stream:
        sheet.save(stream, "PNG")
    return path
