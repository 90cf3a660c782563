"""Where things live on disk, and the only ways to write there.

A workspace is a folder with three trays: `cache/` (what `prepare` and
`extract` make and can be made again), `tuning/` (what `tune` and `finetune`
cost you) and `reports/` (what people read).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import secrets
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import tomli_w
from filelock import FileLock, Timeout

from cars_bench.errors import InputError, UsageError

WORKSPACE_VARIABLE = "CARS_BENCH_WORKSPACE"
SETTINGS_FILE = "cars-bench.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
BINARY: int = getattr(os, "O_BINARY", 0)
"""What `os.open` needs on Windows so that bytes stay as they are."""
UNFOLLOWED: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""What `os.open` needs so that a link is refused and a named pipe does not block."""
NO_LOCK = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EMLINK)
"""What opening a link, a folder or a socket as a lock file ends in."""
SOMEONE = "another process"
HOLDER_BYTES = 300
NAME_KEPT = 40
"""Characters of a file's name that its temporary one repeats: a name may be as long as names go."""


@dataclass(frozen=True)
class Workspace:
    """The three trays under one root, and the settings file beside them.

    Attributes:
        root: Folder that holds the trays; made on the first write.
    """

    root: Path

    @classmethod
    def locate(cls, folder: Path | None = None) -> Workspace:
        """Choose `folder`, else `$CARS_BENCH_WORKSPACE`, else the current folder."""
        chosen = folder or Path(os.environ.get(WORKSPACE_VARIABLE) or ".")
        return cls(chosen.expanduser().resolve())

    @property
    def datasets(self) -> Path:
        """Folder with one prepared dataset a subfolder."""
        return self.root / "cache" / "datasets"

    @property
    def features(self) -> Path:
        """Folder with one feature cache a subfolder, named by its key."""
        return self.root / "cache" / "features"

    @property
    def studies(self) -> Path:
        """Folder with one study a subfolder."""
        return self.root / "tuning"

    @property
    def reports(self) -> Path:
        """Folder with one report a subfolder, named by its study."""
        return self.root / "reports"

    def dataset(self, name: str) -> Path:
        """Folder of a dataset, prepared or not.

        Raises:
            UsageError: It cannot be called so.
        """
        return named(self.datasets, "dataset", name)

    def study(self, name: str) -> Path:
        """Folder of a study, begun or not.

        Raises:
            UsageError: It cannot be called so.
        """
        return named(self.studies, "study", name)

    def settings(self) -> dict[str, dict[str, Any]]:
        """Choices that earlier commands recorded, a table per stage.

        Raises:
            InputError: The file is not TOML, or holds a value outside a table.
        """
        path = self.root / SETTINGS_FILE
        mend = "mend the line, or delete the file"
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not valid TOML: {error}.", mend) from error
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise InputError(f"{path}: {name!r} stands outside a [table].", mend)
        return tables

    def remember(self, stage: str, **choices: Any) -> None:
        """Record a stage's choices so that later commands find them; `None` forgets one."""
        settings = self.settings()
        merged = settings.get(stage, {}) | choices
        settings[stage] = {name: value for name, value in merged.items() if value is not None}
        write_text(self.root / SETTINGS_FILE, tomli_w.dumps(settings))


def named(tray: Path, what: str, name: str) -> Path:
    """The folder of a name in a tray, and nowhere else, wherever the name comes from.

    A folder that stands there under another name than is given now is found too.

    Raises:
        UsageError: It is no plain name.
    """
    if not NAME.fullmatch(str(name)) and tray / str(name) not in tray.glob("*"):
        raise UsageError(
            f"A {what} cannot be named {name!r}.", "use letters, digits, dots, dashes, underscores"
        )
    return tray / str(name)


@contextlib.contextmanager
def atomic_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary sibling of `path`; on success fsync it and rename it to `path`.

    A crash at any moment leaves the old file or the new one, never a mixture.
    On an exception the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:NAME_KEPT]}.{secrets.token_hex(4)}.tmp")
    binary = "b" in mode
    encoding = None if binary else "utf-8"
    newline = None if binary else "\n"
    mode = mode.replace("w", "x")
    try:
        with temporary.open(mode, encoding=encoding, newline=newline) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling path for libraries that insist on a file name.

    The name keeps the suffixes of `path`, since such libraries choose the
    format by them.  On success the file is fsynced and renamed to `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.tmp.{path.name[-NAME_KEPT:]}")
    try:
        yield temporary
        with temporary.open("r+b") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_file(path, "w") as stream:
        stream.write(text)


def write_json(path: Path, document: Any) -> None:
    """Write strict JSON (no NaN), indented, atomically."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut; Windows knows no such thing for folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class LockHeld(InputError):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked(path: Path, purpose: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` while the body runs.

    The kernel drops the lock when its holder dies, so a stale lock file never
    blocks anyone.  Who holds it stands in a file beside it, since Windows
    lets nobody read what another process has locked.  Neither is ever followed
    where it is a link, nor is what stands in it believed.

    Raises:
        LockHeld: Another process is at work on the same thing.
        InputError: `path` cannot be a lock: it is a link or a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    note = path.with_name(f"{path.name}.holder")
    try:
        lock = FileLock(path, blocking=False).acquire()
    except Timeout:
        raise LockHeld(
            f"{purpose} is already running ({_holder(note)}).",
            "wait for it to end, then run again",
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCK:
            raise
        raise InputError(
            f"{path} is no lock file but a link or a folder.", "delete it, then run again"
        ) from error
    with lock:
        write_text(note, f"process {os.getpid()} on {platform.node()}")
        yield


def _holder(note: Path) -> str:
    """What a holder wrote of itself; nothing that anyone else may have put in its place."""
    try:
        descriptor = os.open(note, os.O_RDONLY | UNFOLLOWED)
    except OSError:
        return SOMEONE
    with os.fdopen(descriptor, "rb") as stream:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        said = stream.read(HOLDER_BYTES).decode(errors="ignore") if plain else ""
    return said if said.isprintable() and said else SOMEONE
