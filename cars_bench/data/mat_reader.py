"""What a .mat file says, as JSON: `python mat_reader.py < FILE`, a process of its own.

A few flipped bytes make scipy read and write where it must not, ask for all memory or
never end.  So it runs here, under limits, where nothing else can be lost; this program
imports nothing of cars_bench.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

FIELDS = ("relative_im_path", "fname", "class", "test", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
MEMORY = 4 << 30
"""Bytes of address space."""
SECONDS = 60
MOST_TEXT = 64 << 20
"""Characters that are said."""


def main() -> None:
    """Say what standard input holds, or `{"error": WHY}`."""
    _limit_itself()
    try:
        said = json.dumps(_content(sys.stdin.buffer))
        if len(said) > MOST_TEXT:
            raise ValueError("it holds far more than labels")
    except MemoryError:
        said = json.dumps({"error": f"it asks for more than {MEMORY >> 30} GiB of memory"})
    except Exception as error:
        # scipy raises a dozen kinds of exception for a damaged file
        said = json.dumps({"error": str(error).strip() or type(error).__name__})
    print(said)


def _limit_itself() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (soft, hard))


def _content(stream: Any) -> dict[str, Any]:
    from scipy.io import loadmat

    content = loadmat(stream, squeeze_me=True)
    rows = np.atleast_1d(content.get("annotations", ())).ravel()
    names = rows.dtype.names or ()
    classes = np.atleast_1d(content.get("class_names", ())).ravel()
    return {
        "variables": sorted(name for name in content if not name.startswith("__")),
        "fields": list(names),
        "columns": {
            name: [_plain(cell) for cell in rows[name]] for name in FIELDS if name in names
        },
        "class_names": [_plain(name) for name in classes],
    }


def _plain(cell: Any) -> Any:
    """A cell's number or text; of anything else the shape."""
    array = np.asarray(cell)
    return (
        array.reshape(-1)[0].item()
        if array.size == 1 and array.dtype.kind in "biufU"
        else [*array.shape]
    )


if __name__ == "__main__":
    main()
