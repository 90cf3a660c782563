"""Records on disk with other values, whole and with their right checksum, as another run's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cars_bench.atomic import write_json
from cars_bench.checksums import sealed, unsealed


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record's values; what the function returns does not matter."""
    values = unsealed(json.loads(path.read_bytes()))
    change(values)
    write_json(path, sealed(values))


def rename(path: Path, old: str, new: str) -> None:
    """Put one text in place of another wherever it stands in a record."""
    text = path.read_text(encoding="utf-8").replace(old, new)
    write_json(path, sealed(unsealed(json.loads(text))))
