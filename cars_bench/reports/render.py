"""Plain facts to one self-contained HTML page: templates, style and scripts put together."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from cars_bench.progress import duration
from cars_bench.reports.bundle import script
from cars_bench.reports.verdict import percent


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


def environment() -> jinja2.Environment:
    """Jinja2 with autoescape always on and undefined names refused."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("cars_bench.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "duration": duration, "short": short, "count": count}
    made.filters["words"] = option_words
    made.tests["missing"] = lambda value: isinstance(value, Missing)
    return made


def short(value: object) -> str:
    """A number in at most four digits; an empty string for nothing."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def option_words(command: str) -> list[str]:
    """A command cut where a line may break: before each `--option`, never inside one."""
    return re.split(r" (?=--)", command)


def count(value: int | None) -> str:
    """A whole number with thousands separated; an empty string for nothing."""
    return "" if value is None else f"{value:,}"
