from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.manifest import MANIFEST_FILE
from cars_bench.cache.repair import repair
from cars_bench.cache.shards import HEADER
from cars_bench.cache.store import FeatureCache
from cars_bench.cache.verify import verify
from cars_bench.errors import CacheCorrupt, CacheStale
from cars_bench.progress import Progress
from tests.cache.conftest import TINY
from tests.cache.helpers import RECIPE, shard_path, write_cache
from tests.cache.test_extract import digests

QUIET = Progress()


def first_record(data: bytes) -> bytes:
    return data[: HEADER.size + HEADER.unpack_from(data)[0] + 4]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-9] ^= 16
    path.write_bytes(data)


def cut_at_boundary(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: -len(first_record(data))])


def cut_in_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(first_record(data)) + 5])


def duplicate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data + first_record(data))


DAMAGES = {
    "flipped bit": flip,
    "is cut: it holds 9 of 10": cut_at_boundary,
    "inside the header of record 1": cut_in_header,
    "is empty": lambda path: path.write_bytes(b""),
    "is missing": Path.unlink,
    "duplicated record": duplicate,
    "foreign shard": lambda path: shutil.copy(
        path.with_name(path.name.replace("00000-of", "00001-of")), path
    ),
}


@pytest.mark.parametrize("said", DAMAGES)
def test_each_damage_is_found_named_and_stops_the_load(workspace, said):
    cache = write_cache(workspace, {"train": 30, "val": 10})
    path = shard_path(cache)
    DAMAGES[said](path)
    (finding,) = verify(cache.folder, QUIET).findings
    assert finding.file == path.name
    assert said in finding.reason
    with pytest.raises(CacheCorrupt, match=said):
        cache.load("train")
    assert len(cache.load("val").labels) == 10


def test_sound_records_of_another_cache_are_foreign(workspace):
    cache = write_cache(workspace, {"train": 10, "val": 10})
    other = write_cache(workspace, {"train": 10}, recipe=replace(RECIPE, crop="boxes"), shape=(5,))
    path = shard_path(cache)
    data = bytearray(shard_path(other).read_bytes())
    path.write_bytes(data)
    assert verify(cache.folder, QUIET).findings == ()  # the same features: nothing differs
    write_cache(workspace, {"train": 10}, recipe=replace(RECIPE, crop="x"), shape=(6,))
    changed = replace(RECIPE, crop="x")
    shutil.copy(workspace.features / changed.key / path.name, path)
    (finding,) = verify(cache.folder, QUIET).findings
    assert "foreign shard" in finding.reason


def test_a_shard_that_the_manifest_does_not_list_is_found(workspace):
    cache = write_cache(workspace, {"train": 10})
    shutil.copy(shard_path(cache), cache.folder / "train-view01-00000-of-00001.tfrecord")
    (finding,) = verify(cache.folder, QUIET).findings
    assert "does not list" in finding.reason


def test_an_edited_manifest_is_found(workspace):
    cache = write_cache(workspace, {"train": 10})
    path = cache.folder / MANIFEST_FILE
    path.write_text(path.read_text().replace('"records": 10', '"records": 11'))
    (finding,) = verify(cache.folder, QUIET).findings
    assert (finding.file, finding.reason) == (
        MANIFEST_FILE,
        "was edited: its digest does not match",
    )


def test_a_sound_cache_has_no_findings(workspace):
    cache = write_cache(workspace, {"train": 30, "val": 10}, views=2)
    result = verify(cache.folder, QUIET)
    assert (result.findings, result.shards, result.records) == ((), 7, 70)


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
