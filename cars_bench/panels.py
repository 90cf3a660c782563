"""What a notebook shows of a result: a short panel of HTML, without scripts or colours.

Names of classes and files are hostile until they are escaped.  Colours are the page's own, so
that it is readable on light and on dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from cars_bench.progress import printable

FRAME = "border-left: 3px solid #8888; padding: 0 1em"


def panel(title: str, lines: Iterable[str] = (), rows: Sequence[Sequence[str]] = ()) -> str:
    """A title, plain lines, and a table.

    Args:
        title: What it is.
        lines: Sentences.
        rows: Of the table, its headings first; none leaves it out.
    """
    said = "".join(f"<div>{safe(line)}</div>" for line in lines)
    return f'<div style="{FRAME}"><b>{safe(title)}</b>{said}{_table(rows)}</div>'


def safe(text: str) -> str:
    """A text that can neither be taken for HTML nor turn the direction of what follows."""
    return escape(printable(text))


def _table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head, *body = (
        "".join(f"<{cell}>{safe(text)}</{cell}>" for text in row)
        for cell, row in zip(("th", *["td"] * len(rows)), rows, strict=False)
    )
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
