from __future__ import annotations

import json

import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.manifest import (
    MANIFEST_FILE,
    Agreement,
    Cost,
    Manifest,
    Provenance,
    add_cost,
    cost_path,
    legible_origin,
    read_cost,
    read_manifest,
)
from cars_bench.cache.shards import ShardEntry
from cars_bench.cache.store import FeatureCache, remove
from cars_bench.errors import CacheCorrupt
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace
from tests.cache.conftest import TINY
from tests.cache.helpers import RECIPE, write_cache

COUNTS = {"train": 600, "val": 20, "test": 10}
MANIFEST = Manifest(
    recipe=RECIPE,
    dataset="toys",
    class_names=("a", "b"),
    shape=(5,),
    extraction=Provenance(
        weights="imagenet",
        batch_size=32,
        augment="default",
        agreement=Agreement(0.99993, 0.999),
        versions={"numpy": "2.4.6"},
    ),
    shards=(
        ShardEntry(
            file="train-view00-00000-of-00001.tfrecord",
            split="train",
            view=0,
            records=3,
            bytes=100,
            sha256="5" * 64,
            ids_sha256="1" * 64,
        ),
    ),
)


@pytest.fixture
def space(tmp_path) -> Workspace:
    return Workspace(tmp_path)


def test_it_survives_the_disk(space):
    folder = space.features / RECIPE.key
    MANIFEST.write(folder)
    assert read_manifest(folder) == MANIFEST


def test_the_document_is_that_of_existing_caches():
    # a change here makes every cache on disk unreadable: change it knowingly
    assert MANIFEST.to_json()["digest"] == (
        "e67d87323cf196f90d8e542accee9caf494b1509ce928dd6fe91561b19f55fcc"
    )


@pytest.mark.parametrize(
    ("agreement", "holds"),
    [(Agreement(), True), (Agreement(0.999, 0.99), True), (Agreement(0.98, 0.99), False)],
)
def test_a_runtime_is_trusted_if_it_comes_close_enough(agreement, holds):
    assert agreement.holds is holds


@pytest.mark.parametrize("lost", ["shape", "shards", "digest", "class_names"])
def test_a_damaged_manifest_still_tells_how_its_cache_was_made(space, lost):
    folder = space.features / RECIPE.key
    MANIFEST.write(folder)
    document = json.loads((folder / MANIFEST_FILE).read_text())
    del document[lost]
    (folder / MANIFEST_FILE).write_text(json.dumps(document))
    assert legible_origin(folder) == MANIFEST.origin
    (folder / MANIFEST_FILE).write_text("{")
    assert legible_origin(folder) is None


@pytest.mark.parametrize("field", ["dataset", "shape", "shards", "class_names", "recipe"])
def test_an_edited_manifest_is_refused(space, field):
    path = write_cache(space, COUNTS).folder / MANIFEST_FILE
    document = json.loads(path.read_text())
    edited = document[field]
    document[field] = edited + "x" if isinstance(edited, str) else list(edited)[:-1]
    path.write_text(json.dumps(document))
    with pytest.raises(CacheCorrupt, match="edited"):
        FeatureCache.open(space)


def test_a_manifest_cut_at_any_byte_is_refused(space):
    path = write_cache(space, {"train": 2}).folder / MANIFEST_FILE
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(CacheCorrupt):
            FeatureCache.open(space)


def test_a_renamed_cache_folder_is_refused(space):
    cache = write_cache(space, COUNTS)
    cache.folder.rename(space.features / ("0" * 16))
    with pytest.raises(CacheCorrupt, match="another cache"):
        FeatureCache.open(space, "0000")


def test_a_pass_counts_what_it_computes_and_nothing_twice(workspace, tiny_dataset):
    key = extract(workspace, TINY, Progress()).key
    cost = read_cost(workspace, key)
    assert cost.images == 60 + 36
    assert cost.seconds > 0
    extract(workspace, TINY, Progress())
    assert read_cost(workspace, key) == cost


def test_it_goes_with_its_cache(workspace, tiny_dataset):
    key = extract(workspace, TINY, Progress()).key
    remove(workspace, key)
    assert read_cost(workspace, key) == Cost()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"images": 1, "hours": 2}'])
def test_a_damaged_record_counts_as_none(workspace, text):
    add_cost(workspace, "key", 5, 2.0)
    assert read_cost(workspace, "key").images_per_second == 2.5
    cost_path(workspace, "key").write_text(text)
    assert read_cost(workspace, "key").images_per_second == 0
