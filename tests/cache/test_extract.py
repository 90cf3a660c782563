from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cars_bench.cache.decoding import ImageSource
from cars_bench.cache.extract import extract, repair, run_pass
from cars_bench.cache.extraction import prepare_extraction, recompute
from cars_bench.cache.manifest import MANIFEST_FILE
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.runtimes import Runner
from cars_bench.cache.store import FeatureCache, cache_keys, lock_path
from cars_bench.errors import CacheStale, CarsBenchError, InputError
from cars_bench.progress import Progress
from cars_bench.workspace import LockHeld, Workspace, locked
from tests.cache.conftest import TINY
from tests.cache.helpers import shard_path
from tests.cache.test_verify import flip

QUIET = Progress()
RECORDS = 60 + 36


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def test_the_cache_holds_every_image_with_its_own_label(workspace, tiny_dataset):
    result = extract(workspace, TINY, QUIET)
    assert (result.records, result.written, result.shape) == (RECORDS, RECORDS, (16,))
    cache = FeatureCache.open(workspace)
    labels = dict(zip(tiny_dataset.table["image_id"], tiny_dataset.table["label"], strict=True))
    seen: list[str] = []
    for split in ("train", "val", "test"):
        features = cache.load(split)
        assert features.image_ids == list(tiny_dataset.split(split)["image_id"])
        assert features.labels.tolist() == [labels[name] for name in features.image_ids]
        assert features.x.shape[1] == (2 if split == "train" else 1)
        seen += features.image_ids
    assert len(seen) == len(set(seen)) == 60


def test_any_record_can_be_computed_again_alone(workspace, tiny_dataset):
    extract(workspace, TINY, QUIET)
    cache = FeatureCache.open(workspace)
    train = cache.load("train")
    picked = [30, 2, 17]
    names = [train.image_ids[number] for number in picked]
    for view in (0, 1):
        again = recompute(cache, tiny_dataset, names, view)
        np.testing.assert_allclose(again, train.x[picked, view], atol=1e-3)
    assert np.abs(train.x[:, 0].astype(float) - train.x[:, 1]).max() > 0.01


def test_two_batch_sizes_give_the_same_records_and_key(extraction, workspace, tiny_dataset):
    first = run_pass(workspace, extraction, QUIET)
    before = FeatureCache.open(workspace, first.key).load("train").x
    FeatureCache.open(workspace, first.key)
    other = Workspace(workspace.root.parent / "other")
    (other.root / "cache").mkdir(parents=True)
    other.datasets.symlink_to(workspace.datasets)
    options = replace(TINY, batch_size=13, dataset=tiny_dataset.name)
    second = extract(other, options, QUIET)
    assert second.key == first.key
    after = FeatureCache.open(other).load("train").x
    np.testing.assert_allclose(after.astype(float), before.astype(float), atol=1e-3)


def test_more_views_add_shards_to_the_same_key(extraction, workspace):
    one = run_pass(workspace, replace(extraction, options=replace(TINY, views=1)), QUIET)
    before = digests(Path(one.folder))
    three = run_pass(workspace, replace(extraction, options=replace(TINY, views=3)), QUIET)
    assert (three.key, three.written, three.reused) == (one.key, 72, 60)
    after = digests(Path(one.folder))
    assert {name: after[name] for name in before if name != MANIFEST_FILE} == {
        name: before[name] for name in before if name != MANIFEST_FILE
    }
    again = run_pass(workspace, replace(extraction, options=replace(TINY, views=1)), QUIET)
    assert (again.views, again.written) == (3, 0)
    assert digests(Path(one.folder)) == after


def test_stopped_at_any_image_it_goes_on_to_the_same_bytes(extraction, workspace, monkeypatch):
    whole = digests(Path(run_pass(workspace, extraction, QUIET).folder))
    folder = workspace.features / extraction.recipe.key
    plain = ImageSource.pixels
    for stop_at in (1, 9, 25, 41, 77, 96):
        for path in folder.iterdir():
            path.unlink()
        calls = [0]

        def pixels(self, record, view, calls=calls, stop_at=stop_at):
            calls[0] += 1
            if calls[0] == stop_at:
                raise KeyboardInterrupt
            return plain(self, record, view)

        with monkeypatch.context() as patched:
            patched.setattr(ImageSource, "pixels", pixels)
            with pytest.raises(KeyboardInterrupt):
                run_pass(workspace, extraction, QUIET)
        left = digests(folder)
        assert MANIFEST_FILE not in left
        assert all(whole[name] == digest for name, digest in left.items())
        resumed = run_pass(workspace, extraction, QUIET)
        assert resumed.written <= 96 - 10 * (stop_at // 10 - 4)
        assert digests(folder) == whole


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fills_at_any_write_leaves_old_or_new_never_half(
    extraction, workspace, monkeypatch, call
):
    whole = digests(Path(run_pass(workspace, extraction, QUIET).folder))
    folder = workspace.features / extraction.recipe.key
    plain = getattr(os, call)
    for number in range(len(whole) * (2 if call == "fsync" else 1)):
        for path in folder.iterdir():
            path.unlink()
        calls = [0]

        def full(*arguments, calls=calls, number=number):
            if calls[0] == number:
                raise OSError(errno.ENOSPC, "No space left on device")
            calls[0] += 1
            return plain(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(os, call, full)
            with pytest.raises(OSError, match="No space"):
                run_pass(workspace, extraction, QUIET)
        left = digests(folder)
        assert all(whole.get(name) == digest for name, digest in left.items())
        assert run_pass(workspace, extraction, QUIET).records == RECORDS
        assert digests(folder) == whole


def test_leftovers_of_a_killed_run_are_removed(extraction, workspace):
    folder = workspace.features / extraction.recipe.key
    folder.mkdir(parents=True)
    (folder / ".train-view00.tfrecord.abc.tmp").write_bytes(b"half")
    (folder / "train-view09-00000-of-00001.tfrecord").write_bytes(b"other")
    run_pass(workspace, extraction, QUIET)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(shard.file for shard in extraction.shards(2)), MANIFEST_FILE]
    )


def test_too_small_a_disk_is_said_before_anything_is_computed(extraction, workspace, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(InputError, match=r"needs [\d.]+ kB more, and .* only 10 B"):
        run_pass(workspace, extraction, QUIET)


def test_two_at_once_the_second_says_who_holds_the_lock(extraction, workspace):
    with (
        locked(lock_path(workspace, extraction.recipe.key), "The extraction"),
        pytest.raises(LockHeld, match=f"process {os.getpid()}"),
    ):
        run_pass(workspace, extraction, QUIET)


def test_a_stale_lock_file_blocks_nobody(extraction, workspace):
    path = lock_path(workspace, extraction.recipe.key)
    path.parent.mkdir(parents=True)
    path.write_text("process 1 on another machine")
    assert run_pass(workspace, extraction, QUIET).written == RECORDS


class Overflowing(Runner):
    """A network whose features overflow from the third call of eight images on."""

    name = "tensorflow"

    def __init__(self, inner: Runner) -> None:
        super().__init__(inner.precision, 8)
        self.inner, self.calls = inner, 0

    def _start(self, pixels):
        self.calls += 1
        factor = 70000 if self.calls > 3 else 1
        features = np.abs(self.inner(pixels)) * factor + factor
        return lambda: features


def test_overflow_met_on_the_way_starts_again_in_float32(extraction, workspace):
    runner = Overflowing(extraction.network.runner)
    wild = replace(extraction, network=replace(extraction.network, runner=runner))
    result = run_pass(workspace, wild, QUIET)
    assert (result.dtype, result.key) == ("float32", extraction.in_float32().recipe.key)
    assert FeatureCache.open(workspace, result.key).load("train").x.max() > 65504
    assert cache_keys(workspace) == sorted([result.key, extraction.recipe.key])
    assert prepare_extraction(workspace, TINY, QUIET).recipe.dtype == "float32"


def test_overflow_never_destroys_a_finished_cache(extraction, workspace):
    run_pass(workspace, replace(extraction, options=replace(TINY, views=1)), QUIET)
    runner = Overflowing(extraction.network.runner)
    runner.calls = 9
    wild = replace(extraction, network=replace(extraction.network, runner=runner))
    with pytest.raises(CarsBenchError) as caught:
        run_pass(workspace, wild, QUIET)
    assert "float32" in caught.value.fix
    assert len(FeatureCache.open(workspace, extraction.recipe.key).load("train").labels) == 36


def test_a_boundary_cache_is_no_default(workspace, tiny_dataset):
    pooled = extract(workspace, TINY, QUIET)
    result = extract(workspace, replace(TINY, boundary="block2", views=1), QUIET)
    assert workspace.settings()["cache"]["key"] == pooled.key
    cache = FeatureCache.open(workspace, result.key)
    x = cache.load("train").x
    assert len(x.shape) == 5
    again = recompute(cache, tiny_dataset, cache.load("train").image_ids[:2])
    np.testing.assert_allclose(x[np.arange(2), np.zeros(2, int)], again, atol=1e-2)


def test_a_dry_run_writes_nothing_and_knows_the_key(workspace, tiny_dataset):
    said = extract(workspace, replace(TINY, dry_run=True), QUIET)
    assert not workspace.features.exists()
    done = extract(workspace, TINY, QUIET)
    assert (said.key, said.records, said.written) == (done.key, done.records, RECORDS)
    assert said.bytes == pytest.approx(done.bytes, rel=0.5)
    again = extract(workspace, replace(TINY, dry_run=True, views=3), QUIET)
    assert (again.written, again.reused) == (36, RECORDS)


def test_the_key_does_not_depend_on_where_things_lie(workspace, tiny_dataset, tmp_path):
    first = extract(workspace, replace(TINY, views=1), QUIET)
    workspace.root.rename(tmp_path / "moved")
    moved = Workspace(tmp_path / "moved")
    again = extract(moved, replace(TINY, views=1), QUIET)
    assert (again.key, again.written) == (first.key, 0)


@pytest.mark.slow
def test_resnet50_with_random_weights_goes_the_same_way(workspace, tiny_dataset):
    options = ExtractOptions(weights="none", image_size=64, runtime="tensorflow")
    result = extract(workspace, options, QUIET)
    assert (result.shape, result.records) == ((2048,), 60)


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
