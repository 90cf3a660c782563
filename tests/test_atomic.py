"""Whole files and folders or none, and what killed writers leave."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cars_bench.atomic import MACHINE, atomic_file, atomic_folder, atomic_path, write_text


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_file(path) as stream:
        stream.writelines([b"half of the n", "ew one"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_library_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def save_half(target: Path) -> None:
        target.write_bytes(b"half")
        raise RuntimeError

    path = tmp_path / "model.weights.h5"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        save_half(temporary)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_path_keeps_the_suffixes(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    with atomic_path(path) as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


WRITERS = ("atomic_file", "atomic_path", "atomic_folder")


WRITING = """
import sys
from pathlib import Path
from cars_bench import atomic
with getattr(atomic, sys.argv[1])(Path(sys.argv[2])) as made:
    if isinstance(made, Path):
        (made / "part" if made.is_dir() else made).write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def writing(how: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is in the middle of writing `path`."""
    words = [sys.executable, "-c", WRITING, how, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


@pytest.mark.parametrize("how", WRITERS)
def test_what_a_killed_writer_left_goes_with_the_next_write_and_nothing_else(
    how: str, tmp_path: Path
) -> None:
    others = [".own.tmp", f".x.{'0' * 6}-1-{'0' * 8}.tmp", f".x.{MACHINE}-1-00.tmp"]
    for name in others:
        (tmp_path / name).touch()
    with writing(how, tmp_path / "model.keras"):
        write_text(tmp_path / "a", "")
        assert len(list(tmp_path.iterdir())) == len(others) + 2, "it is still written"
    write_text(tmp_path / "b", "")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "a", "b"}


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "elsewhere"
    kept.mkdir()
    (kept / "file").touch()
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          stdout=subprocess.PIPE, check=True).stdout.decode().strip()  # fmt: skip
    place = tmp_path / "place"
    place.mkdir()
    (place / f".x.{MACHINE}-{dead}-{'0' * 8}.tmp").symlink_to(kept)
    write_text(place / "a", "")
    assert [path.name for path in place.iterdir()] == ["a"]
    assert (kept / "file").exists()


def test_a_folder_takes_the_place_of_an_older_one_only_when_it_is_whole(tmp_path: Path) -> None:
    for name in ("old", "half"):
        with contextlib.suppress(RuntimeError), atomic_folder(tmp_path / "folder") as made:
            (made / name).touch()
            if name == "half":
                raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


def test_written_files_get_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_text(tmp_path / "written", "text")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode
