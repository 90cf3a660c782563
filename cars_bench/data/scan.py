"""Reads every image once: its digest, its size, and whether it decodes at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cars_bench.data.images import ImageUnusable, decode_image
from cars_bench.progress import Progress, Task

CHUNK = 256


@dataclass(frozen=True)
class Scanned:
    """What one file turned out to be.

    Attributes:
        width: Pixels of the upright original, 0 if unreadable.
        height: Pixels of the upright original, 0 if unreadable.
        sha256: Digest of the file's bytes, empty if they cannot be read.
        problem: Why it cannot be used; empty if it can.
        is_page: It is a web page, so the image was never fetched.
    """

    width: int = 0
    height: int = 0
    sha256: str = ""
    problem: str = ""
    is_page: bool = False


def scan_image(path: Path) -> Scanned:
    """Read and decode one file; a file that cannot be used is a result, not an error."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Scanned(problem=f"it cannot be read: {error.strerror}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        image = decode_image(data)
    except ImageUnusable as error:
        return Scanned(sha256=digest, problem=str(error), is_page=error.is_page)
    return Scanned(image.width, image.height, digest)


def scan_images(paths: Sequence[Path], progress: Progress) -> list[Scanned]:
    """Scan files in threads (decoding releases the GIL), in bounded memory.

    Returns:
        One result a path, in order.
    """
    results: list[Scanned] = []
    with (
        progress.stage("Reading images", len(paths), "images") as task,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for start in range(0, len(paths), CHUNK):
            for scanned in pool.map(scan_image, paths[start : start + CHUNK]):
                results.append(scanned)
                task.advance()
            _tell(task, len(results), len(paths))
    return results


def _tell(task: Task, done: int, total: int) -> None:
    """A line at every tenth or so, for logs."""
    every = max(CHUNK, total // 10)
    if done == total or done // every > (done - CHUNK) // every:
        task.line(f"{done:,} of {total:,} images, {done / max(task.seconds, 1e-9):,.0f} images/s")
