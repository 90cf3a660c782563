"""Exit codes and messages of DESIGN section 3: each row is one way to be refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cars_bench.cli.app import main
from cars_bench.errors import InputError, UsageError

GOOD_CSV = "img_file,class,subset\na.jpg,red,train\n"


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Run a command in an empty workspace; its error document, which `--json` prints alone."""
    # Keras fixes its backend when it is first imported, so one serves all tests of this process.
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))

    def run(*arguments: str) -> dict[str, Any]:
        place = ["--workspace", str(tmp_path / "workspace"), "--json"]
        monkeypatch.setattr(sys, "argv", ["cars-bench", *arguments, *place])
        with pytest.raises(SystemExit) as stopped:
            main()
        error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
        assert stopped.value.code == error["code"]
        assert error["message"][-1] in ".?)"
        assert "Traceback" not in error["message"]
        return error

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "mends"),
    [
        (["extract"], 3, "cars-bench prepare"),
        (["tune", "--trials", "1"], 3, "cars-bench extract"),
        (["probe"], 3, "cars-bench extract"),
        (["check"], 3, "cars-bench extract"),
        (["trials"], 3, "cars-bench tune"),
        (["finetune", "--best"], 3, "cars-bench tune"),
        (["finetune"], 2, "--best"),
        (["evaluate"], 3, "cars-bench tune"),
        (["report"], 3, "cars-bench"),
        (["cache", "verify"], 3, "cars-bench extract"),
        (["prepare"], 2, "prepare"),
        (["prepare", "no/such/folder"], 3, ""),
        (["tune", "--trials", "0"], 2, "--help"),
        (["extract", "--views", "many"], 2, "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_empty_workspace_says_what_is_missing_and_what_mends_it(
    refused: Callable[..., dict[str, Any]], arguments: list[str], code: int, mends: str
) -> None:
    error = refused(*arguments)
    assert error["code"] == code
    assert mends in error["fix"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "empty"),
        ("header-only.csv", b"img_file,class,subset\n", ""),
        ("no-class-column.csv", b"img_file,subset\na.jpg,train\n", "class"),
        ("strange.csv", b"what,is,this\n1,2,3\n", ""),
        ("corrupt.mat", b"MATLAB 5.0 MAT-file, but cut", "corrupt.mat"),
        ("missing-image.csv", GOOD_CSV.encode(), "a.jpg"),
    ],
)
def test_labels_that_cannot_be_used_are_input_errors(
    refused: Callable[..., dict[str, Any]], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / name).write_bytes(content)
    arguments = ["--labels", str(tmp_path / name), "--images", str(tmp_path / "images")]
    error = refused("prepare", *arguments)
    assert error["code"] == InputError.code
    assert said in error["message"]


def test_images_that_are_web_pages_are_an_input_error(
    refused: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_text("<!DOCTYPE html><html>not found</html>")
    (tmp_path / "labels.csv").write_text(GOOD_CSV)
    labels = str(tmp_path / "labels.csv")
    error = refused("prepare", "--labels", labels, "--images", str(tmp_path / "images"))
    assert error["code"] == InputError.code


def test_a_workspace_that_cannot_be_written_is_an_input_error(
    refused: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "workspace").write_text("a file stands where the folder should be")
    error = refused("prepare", "--demo")
    assert error["code"] == InputError.code
    assert "workspace" in error["fix"]


def test_an_unknown_backend_is_a_usage_error(
    refused: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "abacus")
    error = refused("tune")
    assert error["code"] == UsageError.code
