"""Fifty broken files of all kinds among good images: each is named, none is learned from."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.store import FeatureCache
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.errors import InputError
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace

WHOLE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))


def encoded(kind: str, image: Image.Image = WHOLE) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def cut(kind: str, share: float) -> bytes:
    data = encoded(kind)
    return data[: int(len(data) * share)]


def overwritten(kind: str, start: int, length: int) -> bytes:
    data = encoded(kind)
    return data[:start] + b"\xa5" * length + data[start + length :]


def fifty_broken_files() -> dict[str, bytes]:
    """File name -> bytes that are no image."""
    files = {
        f"cut-{kind}-{share}.{kind.lower()}": cut(kind, share)
        for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
        for share in (0.02, 0.2, 0.5, 0.9)
    }
    files |= {f"cut-by-{count}.jpg": encoded("JPEG")[:-count] for count in (1, 2, 3, 10, 50)}
    files |= {
        f"no-header-{kind}.{kind.lower()}": overwritten(kind, 0, 12)
        for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
    }
    files |= {f"{count}-zeros.jpg": bytes(count) for count in (0, 1, 2, 100, 5000)}
    files |= {
        f"noise-{seed}.png": np.random.default_rng(seed).bytes(700 * seed) for seed in (1, 2, 3)
    }
    return files | {
        "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "page-with-bom.jpg": b"\xef\xbb\xbf\n<html></html>",
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "text.jpg": "keine Bilder hier".encode("utf-16"),
        "json.jpg": b'{"error": "not found"}',
        "only-a-header.jpg": encoded("JPEG")[:20],
        "float.tiff": encoded("TIFF", Image.new("F", (4, 4))),
    }


@pytest.fixture
def folders(tiny_source: Path, tmp_path: Path) -> Path:
    """Two folders of good images."""
    for index, path in enumerate(sorted((tiny_source / "images").iterdir())):
        place = tmp_path / "folders" / ("even", "odd")[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return tmp_path / "folders"


def features(workspace: Workspace, source: Path) -> tuple[dict[str, np.ndarray], dict]:
    options = PrepareOptions(source=source, split="65/20/15", allow_missing=True)
    card = prepare(workspace, options, Progress()).card
    wanted = ExtractOptions(
        backbone="efficientnet-lite0", weights="none", image_size=32, runtime="tensorflow"
    )
    key = extract(workspace, wanted, Progress()).key
    found = FeatureCache.open(workspace, key).load("train")
    rows = zip(found.image_ids, np.asarray(found.x), strict=True)
    return {name: row.astype(np.float32) for name, row in rows}, card


def test_there_are_fifty_and_web_pages_stop_it_unless_allowed(workspace, folders):
    broken = fifty_broken_files()
    assert len(broken) == 50
    for name, data in broken.items():
        (folders / "odd" / name).write_bytes(data)
    with pytest.raises(InputError, match="2 of 110 images are HTML pages"):
        prepare(workspace, PrepareOptions(source=folders), Progress())


def test_they_are_quarantined_with_reasons_and_change_no_feature(folders, tmp_path):
    clean, _ = features(Workspace(tmp_path / "clean"), folders)
    for index, (name, data) in enumerate(fifty_broken_files().items()):
        (folders / ("even", "odd")[index % 2] / name).write_bytes(data)
    mixed, card = features(Workspace(tmp_path / "mixed"), folders)
    named = {Path(item.image_id).name for item in card.quarantined}
    assert named == set(fifty_broken_files())
    assert all(item.reason for item in card.quarantined)
    assert card.images == 60
    assert set(mixed) <= {f"even/{i:03d}.png" for i in range(60)} | {
        f"odd/{i:03d}.png" for i in range(60)
    }
    shared = set(clean) & set(mixed)
    assert shared
    for name in shared:
        np.testing.assert_allclose(mixed[name], clean[name], rtol=2e-3, atol=2e-3)
