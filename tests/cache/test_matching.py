from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.cache.manifest import MANIFEST_FILE
from cars_bench.cache.matching import caches, present_recipe
from tests.cache.helpers import RECIPE, write_cache


def test_the_default_cache_matches_and_another_names_what_differs(workspace):
    other = write_cache(
        workspace, {"train": 3}, recipe=replace(RECIPE, pooling="max", crop="boxes")
    )
    default = write_cache(workspace, {"train": 3})
    workspace.remember("cache", key=default.key)
    workspace.remember("cache", backbone="tiny", pooling="avg", image_size=48, dtype="float16")
    first, second = caches(workspace)
    present = present_recipe(workspace)
    assert present is not None
    assert (first.key, first.current) == (default.key, True)
    assert first.differences == ("resize",)  # the helper's made-up resize
    assert second.key == other.key
    assert second.differences == ("crop", "resize", "pooling")
    assert second.text == "differs in crop, resize method, pooling"


@pytest.mark.parametrize(
    ("setting", "value", "field"),
    [
        ("image_size", 64, "image_size"),
        ("augment", "light", "augment"),
        ("seed", 3, "augment_seed"),
        ("dtype", "float32", "dtype"),
    ],
)
def test_an_edited_setting_is_named(workspace, setting, value, field):
    cache = write_cache(workspace, {"train": 3})
    workspace.remember("cache", key=cache.key, **{setting: value})
    (only,) = caches(workspace)
    assert field in only.differences
    assert not only.matches


def test_a_changed_dataset_is_named(workspace, tiny_dataset):
    recipe = replace(RECIPE, dataset_digest=tiny_dataset.digest)
    write_cache(workspace, {"train": 3}, recipe=recipe)
    assert "dataset_digest" not in caches(workspace)[0].differences
    write_cache(workspace, {"train": 3})
    assert any("dataset_digest" in item.differences for item in caches(workspace))


def test_unfinished_and_corrupt_caches_are_listed_last(workspace):
    cut = write_cache(workspace, {"train": 3}, recipe=replace(RECIPE, augment_seed=1))
    (cut.folder / MANIFEST_FILE).write_text("{")
    open_ = write_cache(workspace, {"train": 3}, recipe=replace(RECIPE, augment_seed=2))
    (open_.folder / MANIFEST_FILE).unlink()
    whole = write_cache(workspace, {"train": 3})
    found = {item.key: item.state for item in caches(workspace)}
    assert found == {cut.key: "corrupt", open_.key: "unfinished", whole.key: "ready"}
    assert caches(workspace)[0].key == whole.key


def test_an_empty_workspace_has_no_caches(workspace):
    assert caches(workspace) == []
    assert present_recipe(workspace) is None
