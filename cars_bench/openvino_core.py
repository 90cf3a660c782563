"""OpenVINO's core: one for the whole process, kept to its end.

Each core gives the thread a stack for signals while it makes its CPU plugin, and takes it
away when it goes.  Two that go in the order in which they came leave the thread with one
that is freed, and the next Ctrl-C ends in a segmentation fault.
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def core() -> Any:
    """The one core, made at the first call."""
    import openvino

    return openvino.Core()
