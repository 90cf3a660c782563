"""Lines that vouch for each other: each ends with a digest of itself and of all before it.

So a line that was edited, dropped, added or moved is noticed when the file is read.
"""

from __future__ import annotations

import hashlib
import re

SEALED = re.compile(rb'(.+), "digest": "([0-9a-f]{16})"\}')


class Chain:
    """JSON objects, one a line, as far as they are written or read.

    Args:
        whole: The lines that stand there already, with their line breaks.
    """

    def __init__(self, whole: bytes = b"") -> None:
        self._before = hashlib.sha256(whole)
        self._sealed = False

    def sealed(self, line: bytes) -> bytes:
        """The next line, such as `{"a": 1}`, with its digest."""
        return line.removesuffix(b"}") + f', "digest": "{self._digest(line)}"}}'.encode()

    def holds(self, line: bytes) -> bool:
        """Whether the next line is as it was written.

        One without a digest can only stand before all that have one: older versions wrote none.
        """
        found = SEALED.fullmatch(line)
        if found is None:
            return not self._sealed
        self._sealed = True
        return found[2].decode() == self._digest(found[1] + b"}")

    def add(self, line: bytes) -> None:
        """Go on behind a line."""
        self._before.update(line + b"\n")

    def _digest(self, line: bytes) -> str:
        own = self._before.copy()
        own.update(line)
        return own.hexdigest()[:16]
