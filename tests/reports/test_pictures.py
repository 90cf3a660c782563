from __future__ import annotations

import base64
import io
from dataclasses import replace

import pytest
from PIL import Image

from cars_bench.data.images import RESIZE_METHOD
from cars_bench.reports import pictures
from cars_bench.reports.pictures import GAP_PIXELS, STRIP_PIXELS, contact_strips


def _with(inputs, views, **changes):
    policy = '{"brightness":0.1,"contrast":0.1,"flip":true,"rotation_degrees":0.0,'
    policy += '"scale_min":0.8,"translation":0.0}'
    recipe = replace(inputs.manifest.recipe, resize=RESIZE_METHOD, augment=policy, **changes)
    shards = [
        replace(shard, view=view)
        for shard in inputs.manifest.shards
        for view in range(views if shard.split == "train" else 1)
    ]
    return inputs.dataset, replace(inputs.manifest, recipe=recipe, shards=tuple(shards))


@pytest.mark.parametrize(("views", "count", "shown"), [(1, 12, 1), (3, 12, 3), (9, 6, 6)])
def test_each_strip_holds_its_views_side_by_side(finished, views, count, shown):
    strips = contact_strips(*_with(finished, views))
    assert [strip.views for strip in strips] == [shown] * count
    assert {strip.class_name for strip in strips} <= set(finished.class_names)
    assert len({strip.image_id for strip in strips}) == count
    picture = Image.open(io.BytesIO(base64.b64decode(strips[0].uri.split(",")[1])))
    assert picture.size == (shown * (STRIP_PIXELS + GAP_PIXELS) - GAP_PIXELS, STRIP_PIXELS)


def test_the_same_cache_gives_the_same_sheet(finished):
    assert contact_strips(*_with(finished, 2)) == contact_strips(*_with(finished, 2))


def test_pictures_of_another_dataset_are_not_shown(finished):
    assert contact_strips(*_with(finished, 1, dataset_digest="another")) == ()


def test_an_image_that_changed_since_leaves_the_sheet_out(finished, monkeypatch):
    dataset, manifest = _with(finished, 1)
    table = finished.dataset.table.assign(sha256="0" * 64)
    monkeypatch.setattr(pictures, "source_of", lambda recipe, dataset: pictures.ImageSource(
        replace(dataset, table=table), 64, None, 0
    ))  # fmt: skip
    assert contact_strips(dataset, manifest) == ()
