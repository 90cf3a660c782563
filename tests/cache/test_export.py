from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from PIL import Image

from cars_bench.cache.export import contact_sheet, export
from cars_bench.cache.extract import extract
from cars_bench.cache.store import FeatureCache
from cars_bench.errors import CacheCorrupt, UsageError
from cars_bench.progress import Progress
from tests.cache.conftest import TINY
from tests.cache.helpers import RECIPE, shard_path, write_cache

COUNTS = {"train": 25, "val": 3}


def read(path, kind):
    if kind == "npz":
        with np.load(path) as file:
            return {name: file[name] for name in file}, json.loads(str(np.load(path)["manifest"]))
    with h5py.File(path) as file:
        found = {
            f"{split}/{name}": file[split][name][:]
            for split in file
            if split != "class_names"
            for name in file[split]
        }
        found["class_names"] = file["class_names"][:]
        return found, json.loads(file.attrs["manifest"])


@pytest.mark.parametrize("kind", ["npz", "h5"])
@pytest.mark.parametrize("boundary", [None, "block2"])
def test_an_export_holds_ids_labels_and_views(workspace, tmp_path, kind, boundary):
    recipe = replace(RECIPE, boundary=boundary)
    cache = write_cache(workspace, COUNTS, views=2, shape=(2, 2, 3), recipe=recipe)
    path = export(cache, tmp_path / f"x.{kind}", kind)
    arrays, manifest = read(path, kind)
    assert manifest["key"] == cache.key
    train = cache.load("train")
    x = train.x[:, :]
    np.testing.assert_array_equal(arrays["train/features"], x)
    np.testing.assert_array_equal(arrays["train/labels"], train.labels)
    names = [
        name.decode() if isinstance(name, bytes) else str(name)
        for name in arrays["train/image_ids"]
    ]
    assert names == train.image_ids
    assert arrays["val/features"].shape == (3, 1, 2, 2, 3)
    assert len(arrays["class_names"]) == 7
    assert not any(name.startswith("test") for name in arrays)


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_a_damaged_cache_is_not_exported(workspace, tmp_path, kind):
    cache = write_cache(workspace, COUNTS)
    shard_path(cache).write_bytes(b"")
    with pytest.raises(CacheCorrupt):
        export(cache, tmp_path / "x", kind)
    assert not any(path.is_file() for path in tmp_path.iterdir())


def test_an_unknown_format_lists_the_known(workspace, tmp_path):
    with pytest.raises(UsageError) as caught:
        export(write_cache(workspace, COUNTS), tmp_path / "x", "csv")
    assert "npz|h5" in caught.value.fix


def test_a_sheet_shows_twelve_images_and_their_views(workspace, tiny_dataset):
    extract(workspace, TINY, Progress())
    path = contact_sheet(workspace, FeatureCache.open(workspace))
    with Image.open(path) as sheet:
        assert sheet.width // 164 == 2
        assert sheet.height // 182 == 12
        assert sheet.height % 182 >= 4 + 18  # the policy and its ranges stand above
        assert len(sheet.getcolors(maxcolors=10**7)) > 500
