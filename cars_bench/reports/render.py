"""Plain facts to one self-contained HTML page: templates, style, scripts and data put together."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from cars_bench.errors import CarsBenchError
from cars_bench.progress import duration, plural
from cars_bench.reports import words

LIMIT_BYTES = 5_000_000
IMPORT = re.compile(r"^import\b[^;]*;\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function|const|class)", re.MULTILINE)
DECLARED = re.compile(r"^(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True)
class Missing:
    """A section that cannot be shown yet: why, and the command that makes it."""

    why: str
    command: str = ""


def render(template: str, modules: tuple[str, ...], **context: Any) -> str:
    """Fill a template with everything inlined, under a policy that lets nothing else in.

    Args:
        template: File name in `templates/`.
        modules: Names of the scripts in `static/` that the page runs.
        context: What the template shows.

    Returns:
        The page; the same arguments give the same text.
    """
    code = script(modules)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    return (
        environment()
        .get_template(template)
        .render(
            style=Markup(static("report.css")),
            script=Markup(code),
            script_digest=digest,
            **context,
        )
    )


def static(name: str) -> str:
    """A file of `static/` as text."""
    path = resources.files("cars_bench.reports") / "static" / name
    return path.read_text(encoding="utf-8")


@cache
def environment() -> jinja2.Environment:
    """Jinja2 with autoescape always on and undefined names refused; templates are read once."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("cars_bench.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": words.percent, "short": words.short, "count": words.count}
    made.filters |= {"plural": plural, "breakable": breakable}
    made.filters |= {"points": words.points, "options": words.options, "duration": duration}
    made.tests["missing"] = lambda value: isinstance(value, Missing)
    return made


def breakable(path: str) -> Markup:
    """A path that may go on in another line after each of its folders and underscores."""
    return Markup(re.sub("([/_])", r"\1<wbr>", str(escape(path))))


def script(modules: tuple[str, ...]) -> str:
    """The page's JavaScript modules as one strict inline script in a scope of its own.

    Each file in `static/` is an ordinary module, linted and tested as such.  A page opened
    from disk may not import one from another, so they are laid end to end in the order of
    their names here, without their import and export words.

    Args:
        modules: Names without `.js`; each after those that it imports.

    Raises:
        ValueError: Two modules declare one name, or one would end the script element.
    """
    parts = [EXPORT.sub("", IMPORT.sub("", static(f"{name}.js"))).strip() for name in modules]
    code = "\n\n".join(parts)
    declared = DECLARED.findall(code)
    twice = sorted({name for name in declared if declared.count(name) > 1})
    if twice:
        raise ValueError(f"declared in two modules: {', '.join(twice)}")
    if "</script" in code.lower() or "<!--" in code:
        raise ValueError("a module holds text that would end the script element")
    return f'(() => {{\n"use strict";\n{code}\n}})();\n'


def island(document: Any) -> Markup:
    r"""Strict, compact JSON in which no character can end or open an element.

    `json.dumps` keeps `</script>`; escaped as `\u003c` it stays text to every parser.
    """
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character, escaped in ESCAPES.items():
        text = text.replace(character, escaped)
    return Markup(text)


def check_size(page: str) -> None:
    """Refuse a page that nobody could be sent.

    Raises:
        CarsBenchError: It exceeds 5 MB.
    """
    size = len(page.encode())
    if size > LIMIT_BYTES:
        raise CarsBenchError(
            f"The report would be {size / 1e6:.1f} MB, above its limit of "
            f"{LIMIT_BYTES / 1e6:.0f} MB.",
            "report a study with fewer trials or classes",
        )
