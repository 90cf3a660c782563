from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from cars_bench.cli.app import app
from tests.cache.helpers import shard_path, write_cache


def run(workspace, *arguments: str) -> tuple[int, dict]:
    result = CliRunner().invoke(
        app, [*arguments, "--workspace", str(workspace.root), "--json", "-q"]
    )
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def cache(workspace):
    return write_cache(workspace, {"train": 30, "val": 5}, views=2)


def test_ls_lists_the_caches(workspace, cache):
    code, document = run(workspace, "cache", "ls")
    (item,) = document["caches"]
    assert code == 0
    assert (item["key"], item["records"], item["views"]) == (cache.key, 65, 2)


def test_ls_of_nothing_is_no_error(workspace):
    assert run(workspace, "cache", "ls") == (0, {"schema_version": 1, "caches": []})


def test_verify_counts_and_a_prefix_will_do(workspace, cache):
    code, document = run(workspace, "cache", "verify", "--cache", cache.key[:4])
    assert code == 0
    assert document["caches"][0]["records"] == 65


def test_verify_names_the_damage_with_exit_4(workspace, cache):
    shard_path(cache, "val").unlink()
    shard_path(cache).write_bytes(b"")
    code, document = run(workspace, "cache", "verify")
    assert code == document["error"]["code"] == 4
    assert "val-view00-00000-of-00001.tfrecord is missing" in document["error"]["message"]
    assert "train-view00-00000-of-00001.tfrecord is empty" in document["error"]["message"]
    assert document["error"]["fix"] == "cars-bench cache verify --repair"


@pytest.mark.parametrize(
    "command", [["verify"], ["export", "x.npz"], ["rm", "12"], ["ls", "--sheet"]]
)
def test_without_a_cache_the_exit_code_is_3(workspace, command):
    code, document = run(workspace, "cache", *command)
    assert code == document["error"]["code"] == 3


@pytest.mark.parametrize("name", ["x.npz", "x.h5"])
def test_export_takes_the_format_from_the_name(workspace, cache, tmp_path, name):
    code, document = run(workspace, "cache", "export", str(tmp_path / name))
    assert code == 0
    assert document["bytes"] == (tmp_path / name).stat().st_size


def test_rm_deletes_and_a_dry_run_does_not(workspace, cache):
    assert run(workspace, "cache", "rm", cache.key[:4], "--dry-run")[0] == 0
    assert cache.folder.exists()
    code, document = run(workspace, "cache", "rm", cache.key[:4])
    assert (code, document["removed"]) == (0, [cache.key])
    assert document["bytes"] > 0
    assert not cache.folder.exists()


def test_rm_without_a_key_is_a_usage_error(workspace, cache):
    assert run(workspace, "cache", "rm")[0] == 2
    assert run(workspace, "cache", "rm", cache.key, "--all")[0] == 2
    assert run(workspace, "cache", "rm", "--all")[0] == 0


def test_looking_after_caches_never_imports_tensorflow(workspace, cache, tmp_path, monkeypatch):
    for name in ("tensorflow", "keras", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run(workspace, "cache", "ls")[0] == 0
    assert run(workspace, "cache", "verify")[0] == 0
    assert run(workspace, "cache", "export", str(tmp_path / "x.npz"))[0] == 0
    assert run(workspace, "cache", "rm", "--all")[0] == 0
