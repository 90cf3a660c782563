"""The one JSON island: what the interactive parts read, safe inside a `<script>` element."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def island(document: Any) -> Markup:
    r"""Strict, compact JSON in which no character can end or open an element.

    `json.dumps` keeps `</script>`; escaped as `\u003c` it stays text to every parser.
    """
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(text)
