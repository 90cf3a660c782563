from __future__ import annotations

import importlib.util
import json
import shutil

import pytest
from typer.testing import CliRunner

from cars_bench.cli.app import app

TINY = ("--backbone", "tiny", "--weights", "none", "--image-size", "48", "--runtime", "tensorflow")


def run(workspace, *arguments: str) -> tuple[int, dict]:
    where = ("--workspace", str(workspace.root), "--json", "-q")
    result = CliRunner().invoke(app, ["extract", *arguments, *where])
    return result.exit_code, json.loads(result.stdout)


def test_the_document_has_the_promised_keys(workspace, tiny_dataset):
    code, document = run(workspace, *TINY)
    assert code == 0
    promised = {"key", "records", "images_per_second", "runtime", "precision", "bytes"}
    assert promised <= document.keys()
    assert (document["records"], document["runtime"]) == (60, "tensorflow")
    assert workspace.settings()["cache"]["key"] == document["key"]


def said(workspace, *arguments: str) -> list[str]:
    """Lines on stderr."""
    where = ("--workspace", str(workspace.root))
    return CliRunner().invoke(app, ["extract", *arguments, *where]).stderr.splitlines()


def test_the_first_line_says_which_backbone_and_why(workspace, tiny_dataset):
    assert said(workspace, *TINY)[0] == "Backbone: tiny (as asked)"
    assert said(workspace)[0] == "Backbone: tiny (as in the last extract)"


@pytest.mark.parametrize(
    ("installed", "line"),
    [
        (True, "Backbone: efficientnet-lite0 (its ImageNet weights are installed"),
        (False, "Backbone: resnet50 (Keras downloads its ImageNet weights; efficientnet-lite0"),
    ],
)
def test_the_default_backbone_needs_no_network_where_it_can(
    workspace, tiny_dataset, monkeypatch, installed, line
):
    found = importlib.util.find_spec

    def spec(name: str):
        return found("json" if installed else "no_such") if "lite0" in name else found(name)

    monkeypatch.setattr("importlib.util.find_spec", spec)
    assert said(workspace, "--image-size", "64", "--weights", "nowhere.h5")[0].startswith(line)


def test_the_first_extract_says_once_what_would_make_it_faster(
    workspace, tiny_dataset, monkeypatch
):
    def tips(*arguments: str) -> list[str]:
        lines = said(workspace, *TINY[:-2], *arguments)
        return [line for line in lines if line.startswith("Tip: ")]

    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "openvino" else found(name)
    )
    assert tips("-q") == tips("--json", "--dry-run") == []
    assert len(tips()) == 0  # the cache is there by now
    shutil.rmtree(workspace.features)
    assert len(tips("--dry-run")) == 1


def test_the_same_command_without_flags_finds_it_all_there(workspace, tiny_dataset):
    first = run(workspace, *TINY)[1]
    again = run(workspace)[1]
    assert (again["key"], again["written"]) == (first["key"], 0)


def test_a_dry_run_for_people(workspace, tiny_dataset):
    arguments = ["extract", *TINY, "--dry-run", "--workspace", str(workspace.root), "-q"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "60 images to compute" in result.stdout
    assert "kB" in result.stdout
    assert not workspace.features.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--backbone", "no-such"], 2),
        (["--pooling", "median", *TINY], 2),
        (["--boundary", "block99", *TINY], 2),
        (["--augment", "no-such", *TINY], 2),
        (["--views", "0", *TINY], 2),
        (["--image-size", "0"], 2),
        (["--image-size", "-5"], 2),
        (["--runtime", "abacus", "--backbone", "tiny", "--weights", "none"], 2),
        (["--backbone", "tiny", "--weights", "nowhere.h5"], 3),
        (["--dataset", "no-such"], 3),
    ],
)
def test_what_is_wrong_decides_the_exit_code(workspace, tiny_dataset, arguments, code):
    got, document = run(workspace, *arguments)
    assert got == document["error"]["code"] == code
    assert document["error"]["fix"]


def test_without_a_dataset_the_fix_is_prepare(workspace):
    code, document = run(workspace)
    assert code == 3
    assert "prepare" in document["error"]["fix"]


def test_a_folder_that_cannot_be_written_is_one_sentence(workspace, tiny_dataset):
    (workspace.root / "cache" / "features").write_text("a file where a folder should be")
    code, document = run(workspace, *TINY)
    assert code == 3
    assert "write here" in document["error"]["message"]
