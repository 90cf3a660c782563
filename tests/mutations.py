"""Damage to a file: by its bytes as a disk does it, by its values as a hand does it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

NOT_DOCUMENTS = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b"NaN",
    b'"text"',
    b"\xff\xfe",
    b"\0",
    b"[" * 9999,
)
"""What may stand in a file instead of what was written."""
STRANGE = (
    None, True, False, 0, -1, 7, 10**18, 10**400, 0.5, -1e300, 1e300, "", "x", "x" * 5000,
    "../../x", "a\nb", "\x1b[31m", "\udcff", [], [None], {}, {"a": 1}, [[]], "NaN",
)  # fmt: skip
"""Values of other types, sizes and ranges than anyone writes."""

KINDS = ("instead", "cut", "flip", "put", "insert", "remove", "line", "swap")


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes of a file after a disk, a crash or a careless tool had its way with them."""
    kind = draw(st.sampled_from(KINDS))
    place = draw(st.integers(0, len(data) - 1))
    lines = data.splitlines(keepends=True)
    line = draw(st.integers(0, len(lines) - 1))
    other = draw(st.integers(0, len(lines) - 1))
    if kind == "instead":
        return draw(st.sampled_from(NOT_DOCUMENTS))
    if kind == "cut":
        return data[:place]
    if kind == "line":
        lines.insert(other, lines[line])
    elif kind == "swap":
        lines[line], lines[other] = lines[other], lines[line]
    if kind in ("line", "swap"):
        return b"".join(lines)
    byte = draw(st.integers(0, 255))
    middle = {
        "flip": bytes([data[place] ^ (1 << byte % 8)]),
        "put": bytes([byte]),
        "insert": bytes([byte, data[place]]),
        "remove": b"",
    }[kind]
    return data[:place] + middle + data[place + 1 :]


@st.composite
def edited_json(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """A document of which one value was replaced, removed, added or put elsewhere."""
    edited = copy.deepcopy(document)
    place = draw(st.sampled_from(list(_places(edited))))
    within = edited
    for step in place[:-1]:
        within = within[step]
    last = place[-1]
    kind = draw(st.sampled_from(["replace", "remove", "reverse", "add", "nudge"]))
    value = within[last]
    if kind == "remove":
        del within[last]
    elif kind == "reverse" and isinstance(value, list | str):
        within[last] = value[::-1]
    elif kind == "add" and isinstance(value, dict):
        value["stranger"] = draw(st.sampled_from(STRANGE))
    elif kind == "nudge" and type(value) in (int, float):
        within[last] = value + draw(st.sampled_from([1, -1, 0.5, 1e-9]))
    else:
        within[last] = draw(st.sampled_from(STRANGE))
    return edited


def as_bytes(document: Any) -> bytes:
    """JSON as a careless tool writes it."""
    return json.dumps(document).encode()


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each value stands, by the keys and indices down to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        yield (*above, key)
        if isinstance(item, dict | list):
            yield from _places(item, (*above, key))
