from __future__ import annotations

from PIL import Image

from cars_bench.cache.extract import extract
from cars_bench.cache.sheet import contact_sheet
from cars_bench.cache.store import FeatureCache
from cars_bench.progress import Progress
from tests.cache.conftest import TINY


def test_a_sheet_shows_twelve_images_and_their_views(workspace, tiny_dataset):
    extract(workspace, TINY, Progress())
    path = contact_sheet(workspace, FeatureCache.open(workspace))
    with Image.open(path) as sheet:
        assert sheet.width // 164 == 2
        assert sheet.height // 182 == 12
        assert len(sheet.getcolors(maxcolors=10**7)) > 500
