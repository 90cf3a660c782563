from __future__ import annotations

import json

import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.manifest import MANIFEST_FILE
from cars_bench.cache.repair import repair
from cars_bench.cache.store import FeatureCache
from cars_bench.errors import CacheStale
from cars_bench.progress import Progress
from tests.cache.conftest import TINY
from tests.cache.helpers import shard_path
from tests.cache.test_extract import digests
from tests.cache.test_verify import flip

QUIET = Progress()


def test_repair_extracts_only_what_is_damaged(workspace, tiny_dataset):
    key = extract(workspace, TINY, QUIET).key
    cache = FeatureCache.open(workspace)
    whole = digests(cache.folder)
    flip(shard_path(cache, "train", 1))
    shard_path(cache, "val").unlink()
    (cache.folder / "train-view07-00000-of-00001.tfrecord").write_bytes(b"stranger")
    assert repair(workspace, key, QUIET).written == 20
    assert digests(cache.folder) == whole


@pytest.mark.parametrize("edit", [("tiny", "teeny"), ("avg", "max"), ("}", "")])
def test_repair_writes_an_edited_manifest_again(workspace, tiny_dataset, edit):
    key = extract(workspace, TINY, QUIET).key
    folder = workspace.features / key
    whole = digests(folder)
    path = folder / MANIFEST_FILE
    path.write_text(path.read_text().replace(*edit))
    assert repair(workspace, key, QUIET).written == 0
    assert digests(folder) == whole


def test_what_cannot_be_made_again_says_so(workspace, tiny_dataset):
    key = extract(workspace, TINY, QUIET).key
    folder = workspace.features / key
    document = json.loads((folder / MANIFEST_FILE).read_text())
    document["recipe"]["pooling"] = "max"
    (folder / MANIFEST_FILE).write_text(json.dumps(document))
    workspace.remember("cache", pooling="max")
    with pytest.raises(CacheStale, match="cannot be made again"):
        repair(workspace, key, QUIET)
