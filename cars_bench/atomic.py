"""The only ways to write a file or a folder: whole, or not at all.

What is being written has a temporary name that tells who writes it, so that what
a killed writer left is cleared away by the next one, and nothing else is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

NAME_KEPT = 40
"""Characters of a file's name that its temporary one repeats: a name may be as long as names go."""
MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
TEMPORARY = re.compile(
    r"\.(.*\.)?(?P<machine>[0-9a-f]{6})-(?P<process>[0-9]+)-[0-9a-f]{8}\.tmp(\..*)?", re.DOTALL
)
"""Names of files and folders that are still written, and by whom."""
SURROGATES = re.compile("[\ud800-\udfff]")
"""What Python makes of the bytes of a file name that is not UTF-8."""


@contextlib.contextmanager
def atomic_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary sibling of `path`; on success fsync it and rename it to `path`.

    A crash at any moment leaves the old file or the new one, never a mixture.
    On an exception the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name[:NAME_KEPT]}.{_writer(path.parent)}.tmp")
    binary = "b" in mode
    encoding = None if binary else "utf-8"
    newline = None if binary else "\n"
    mode = mode.replace("w", "x")
    with (
        _taking_place(temporary, path),
        temporary.open(mode, encoding=encoding, newline=newline) as stream,
    ):
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling path for libraries that insist on a file name.

    The name keeps the suffixes of `path`, since such libraries choose the
    format by them.  On success the file is fsynced and renamed to `path`.
    """
    temporary = path.with_name(f".{_writer(path.parent)}.tmp.{path.name[-NAME_KEPT:]}")
    with _taking_place(temporary, path):
        yield temporary
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder, made and empty; on success it takes the place of `path`."""
    temporary = path.with_name(f".{path.name[:NAME_KEPT]}.{_writer(path.parent)}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_file(path, "w") as stream:
        stream.write(text)


def write_json(path: Path, document: Any) -> None:
    """Write strict JSON (no NaN), indented, atomically; what is no Unicode stands there escaped."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    write_text(path, SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut; Windows knows no such thing for folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _taking_place(temporary: Path, path: Path) -> Iterator[None]:
    """Rename a file to `path` when the body has written it; remove it where the body fails."""
    try:
        yield
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _writer(folder: Path) -> str:
    """What tells a temporary name in `folder`, made if need be, from all others: who writes it.

    What a killed writer left there is cleared away, and nothing that anyone may still write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Where that fails it stays, which is no reason not to write.
    with contextlib.suppress(OSError), os.scandir(folder) as items:
        for item in items:
            found = item.name.startswith(".") and TEMPORARY.fullmatch(item.name)
            if found and found["machine"] == MACHINE and not _lives(int(found["process"])):
                _remove(folder / item.name)
    return f"{MACHINE}-{os.getpid()}-{secrets.token_hex(4)}"


def _lives(process: int) -> bool:
    """Whether there is, or may be, a process of this machine with that id."""
    if os.name == "nt":  # where asking ends it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
