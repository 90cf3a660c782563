from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.cache.manifest import MANIFEST_FILE
from cars_bench.cache.shards import HEADER
from cars_bench.cache.verify import verify
from cars_bench.errors import CacheCorrupt
from cars_bench.progress import Progress
from tests.cache.helpers import RECIPE, shard_path, write_cache

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


def test_a_folder_or_a_pipe_in_a_shards_place_is_found(workspace):
    cache = write_cache(workspace, {"train": 10})
    path = shard_path(cache)
    path.unlink()
    for make, unmake in ((path.mkdir, path.rmdir), (lambda: os.mkfifo(path), path.unlink)):
        make()
        with pytest.raises(CacheCorrupt, match="is a folder or a pipe"):
            cache.load("train")
        unmake()


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
