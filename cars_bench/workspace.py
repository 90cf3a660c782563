"""Where things live on disk, what may be read there, and who holds it.

A workspace is a folder with three trays: `cache/` (what `prepare` and
`extract` make and can be made again), `tuning/` (what `tune` and `finetune`
cost you) and `reports/` (what people read).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock, Timeout

from cars_bench.atomic import write_text
from cars_bench.errors import InputError, RecordDamaged, UsageError, shown
from cars_bench.progress import size

WORKSPACE_VARIABLE = "CARS_BENCH_WORKSPACE"
SETTINGS_FILE = "cars-bench.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
TEXTS = ("name", "crop", "key", "study", "run", "backbone", "weights", "pooling", "augment")
CHOICES = dict.fromkeys((*TEXTS, "dtype", "runtime"), str) | dict.fromkeys(
    ("batch_size", "image_size", "seed", "views"), int
)
"""What commands record in the settings file, and as what."""
BINARY: int = getattr(os, "O_BINARY", 0)
"""What `os.open` needs on Windows so that bytes stay as they are."""
UNBLOCKED: int = getattr(os, "O_NONBLOCK", 0)
"""What `os.open` needs so that a named pipe does not block."""
UNFOLLOWED: int = getattr(os, "O_NOFOLLOW", 0) | UNBLOCKED
"""What it needs so that a link is refused too."""
NO_LOCK = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EMLINK)
"""What opening a link, a folder or a socket as a lock file ends in."""
SOMEONE = "another process"
HOLDER_BYTES = 300


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
            InputError: The file is not TOML, or holds what no command records.
        """
        path = self.root / SETTINGS_FILE
        try:
            tables = tomllib.loads(plain_bytes(path).decode())
            _check_settings(tables)
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            mend = "mend the line, or delete the file"
            raise InputError(f"{path} is not valid TOML: {error}.", mend) from error
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


def _check_settings(tables: dict[str, Any]) -> None:
    """Refuse choices of a type that no command records."""
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ValueError(f"{shown(name)} stands outside a [table]")
        for field, value in table.items():
            kind = CHOICES.get(field)
            if kind and type(value) is not kind:
                words = "a whole number" if kind is int else "text"
                raise ValueError(f"{name}.{field} must be {words}, got {shown(value)}")


class NotPlain(OSError, ValueError):
    """A path leads to no plain file, or to one that is too large; what it holds was not read."""

    def __str__(self) -> str:
        return str(self.strerror)


def plain_bytes(path: Path | str, most: int | None = None) -> bytes:
    """The bytes of a file that is one.

    Args:
        path: The file.
        most: Of its bytes; `None` takes any number.

    Raises:
        NotPlain: It is a folder, a pipe or a device, which would be waited for without end; or
            it is too large.
        OSError: It is not there, or cannot be read.
    """
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):
        raise NotPlain(errno.EINVAL, "it is no plain file", str(path))
    if most is not None and found.st_size > most:
        raise NotPlain(errno.EFBIG, f"it is larger than {most >> 20:,} MiB", str(path))
    with open(path, "rb", opener=_unblocked) as stream:
        return stream.read()


def _unblocked(path: str, flags: int) -> int:
    """Open without waiting what became a pipe just now; it reads as empty."""
    return os.open(path, flags | UNBLOCKED)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: Is going to hold it.
        needed: Bytes that are still to be written there.
        what: Begins the sentence.

    Raises:
        InputError: Less is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        has = f"{folder} has only {size(free)} free"
        raise InputError(
            f"{what} needs {size(needed)} more, and {has}.",
            "free some space, or choose another --workspace",
        )


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_written(path: Path, sha256: str | None) -> bool:
    """Whether a file is there and, where its digest was recorded, is the one that was written."""
    return path.is_file() and sha256 in (None, sha256_file(path))


def require_written(path: Path, sha256: str | None, fix: str) -> None:
    """Refuse a file that is not the one that was written.

    Args:
        path: The file.
        sha256: Its digest; `None` in records made before it was kept.
        fix: What mends it.

    Raises:
        RecordDamaged: It is missing, or its digest is another one.
    """
    if not is_written(path, sha256):
        problem = "is damaged: its digest is not the recorded one"
        raise RecordDamaged(f"{path} {problem if path.is_file() else 'is missing'}.", fix)


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
