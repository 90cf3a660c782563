from __future__ import annotations

import base64
import io
from dataclasses import replace

import pytest
from PIL import Image

from cars_bench.cache.decoding import ImageSource
from cars_bench.data.policies import NAMED
from cars_bench.errors import InputError
from cars_bench.reports.pictures import GAP_PIXELS, STRIP_PIXELS, contact_strips


def _source(inputs, **changes):
    dataset = replace(inputs.dataset, **changes)
    return ImageSource(dataset, image_size=64, policy=NAMED["strong"], seed=0)


@pytest.mark.parametrize(("views", "count", "shown"), [(1, 12, 1), (3, 12, 3), (9, 6, 6)])
def test_each_strip_holds_its_views_side_by_side(finished, views, count, shown):
    strips = contact_strips(_source(finished), views)
    assert [strip.views for strip in strips] == [shown] * count
    assert {strip.class_name for strip in strips} <= set(finished.class_names)
    assert len({strip.image_id for strip in strips}) == count
    picture = Image.open(io.BytesIO(base64.b64decode(strips[0].uri.split(",")[1])))
    assert picture.size == (shown * (STRIP_PIXELS + GAP_PIXELS) - GAP_PIXELS, STRIP_PIXELS)


def test_the_same_source_gives_the_same_pictures(finished):
    assert contact_strips(_source(finished), 2) == contact_strips(_source(finished), 2)


def test_an_image_that_changed_since_is_not_shown(finished):
    table = finished.dataset.table.assign(sha256="0" * 64)
    with pytest.raises(InputError):
        contact_strips(_source(finished, table=table), 1)
