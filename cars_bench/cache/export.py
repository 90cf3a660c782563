"""A cache as one file: NumPy's npz or HDF5 for other programs, a contact sheet for people.

Each split that has images gives three arrays: `SPLIT/image_ids` [N],
`SPLIT/labels` int64 [N] and `SPLIT/features` [N, V, *shape]; `class_names` and
the manifest (JSON text) stand beside them.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import h5py
import numpy as np
from PIL import Image, ImageDraw

from cars_bench.atomic import atomic_file, atomic_path
from cars_bench.backbones.catalogue import is_picture
from cars_bench.cache.decoding import ImageSource, source_of
from cars_bench.cache.store import FeatureCache
from cars_bench.data.dataset import SPLITS, Dataset, ImageRecord, evenly
from cars_bench.errors import UsageError
from cars_bench.workspace import Workspace

FORMATS = ("npz", "h5")
SHEET_IMAGES = 12
MOST_COLUMNS = 10
_TILE = 160
_GAP = 4
_TITLE = 18
_LETTER = 7


def export(cache: FeatureCache, path: Path, kind: str) -> Path:
    """Write a verified copy of the whole cache into one file.

    Args:
        cache: What to export.
        path: The file to write; replaced as a whole.
        kind: `npz` (made in memory) or `h5` (shard by shard, for any size).

    Raises:
        UsageError: Unknown format.
        CacheCorrupt: A shard is damaged.
    """
    if kind not in FORMATS:
        raise UsageError(f"There is no export format {kind!r}.", f"--format {'|'.join(FORMATS)}")
    with atomic_path(path) as temporary:
        if kind == "npz":
            _write_npz(cache, temporary)
        else:
            _write_h5(cache, temporary)
    return path


def _write_npz(cache: FeatureCache, path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "class_names": np.array(cache.manifest.class_names),
        "manifest": np.array(json.dumps(cache.manifest.to_json())),
    }
    for split in _splits(cache):
        features = cache.load(split)
        x = features.x if isinstance(features.x, np.ndarray) else features.x.array()
        arrays[f"{split}/image_ids"] = np.array(features.image_ids)
        arrays[f"{split}/labels"] = features.labels
        arrays[f"{split}/features"] = x
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _write_h5(cache: FeatureCache, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("class_names", data=list(cache.manifest.class_names))
        file.attrs["manifest"] = json.dumps(cache.manifest.to_json())
        for split in _splits(cache):
            _write_split(cache, split, file.create_group(split))


def _write_split(cache: FeatureCache, split: str, group: h5py.Group) -> None:
    manifest = cache.manifest
    count = manifest.images(split)
    views = manifest.views(split)
    ids = group.create_dataset("image_ids", (count,), h5py.string_dtype())
    labels = group.create_dataset("labels", (count,), np.int64)
    x = group.create_dataset("features", (count, views, *manifest.shape), manifest.dtype)
    for view in range(views):
        start = 0
        for batch in cache.stream(split, view):
            rows = slice(start, start + len(batch.image_ids))
            x[rows, view] = batch.features
            if view == 0:
                ids[rows] = batch.image_ids
                labels[rows] = batch.labels
            start = rows.stop


def _splits(cache: FeatureCache) -> list[str]:
    return [split for split in SPLITS if cache.manifest.images(split)]


def contact_sheet(workspace: Workspace, cache: FeatureCache) -> Path:
    """Draw twelve training images, a row each, view 0 first; the policy's ranges stand above.

    Returns:
        The PNG, `cache/sheets/KEY.png`.

    Raises:
        DatasetMissing: Its dataset is gone.
        InputError: An image is gone or changed.
    """
    dataset = Dataset.load(workspace, cache.manifest.dataset)
    source = source_of(cache.recipe, dataset, cache.manifest.extraction.augment)
    live = is_picture(cache.recipe.backbone)  # training draws its views, so the cache holds none
    views = MOST_COLUMNS if live else min(cache.manifest.views("train"), MOST_COLUMNS)
    picked = evenly(source.records["train"], SHEET_IMAGES)
    width = _TILE + _GAP
    height = _TILE + _GAP + _TITLE
    heading = _heading(source, views, views * width)
    top = _GAP + _TITLE * len(heading)
    sheet = Image.new("RGB", (views * width + _GAP, top + len(picked) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for line, text in enumerate(heading):
        draw.text((_GAP, _GAP + line * _TITLE), text, "black")
    for row, record in enumerate(picked):
        for view in range(views):
            corner = (_GAP + view * width, top + row * height)
            sheet.paste(_tile(source, record, view), (corner[0], corner[1] + _TITLE))
            draw.text(corner, record.image_id[-24:] if view == 0 else f"view {view}", "black")
    return _saved(sheet, workspace.root / "cache" / "sheets" / f"{cache.key}.png")


def _heading(source: ImageSource, views: int, width: int) -> list[str]:
    """The policy's name and ranges in lines that fit `width` pixels."""
    if views == 1:
        return ["plain view only"]
    said = f"policy {source.policy.name}: {source.policy.describe()}".replace("°", " degrees")
    return textwrap.wrap(said, width // _LETTER)


def _tile(source: ImageSource, record: ImageRecord, view: int) -> Image.Image:
    return Image.fromarray(source.pixels(record, view)).resize((_TILE, _TILE))


def _saved(sheet: Image.Image, path: Path) -> Path:
    with atomic_file(path) as stream:
        sheet.save(stream, "PNG")
    return path
