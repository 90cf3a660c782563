"""Joins the page's JavaScript modules into one inline script.

Each file in `static/` is an ordinary module, linted and tested as such.  A
page opened from disk may not import one from another, so they are laid end to
end in the order of their names here, without their import and export words.
"""

from __future__ import annotations

import re
from importlib import resources

IMPORT = re.compile(r"^import\b[^;]*;\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?function|const|class)", re.MULTILINE)
DECLARED = re.compile(r"^(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)


def script(modules: tuple[str, ...]) -> str:
    """The modules as one strict script in a scope of its own.

    Args:
        modules: Names without `.js`; each after those that it imports.

    Raises:
        ValueError: Two modules declare one name, or one would end the script element.
    """
    parts = [EXPORT.sub("", IMPORT.sub("", _read(name))).strip() for name in modules]
    code = "\n\n".join(parts)
    declared = DECLARED.findall(code)
    twice = sorted({name for name in declared if declared.count(name) > 1})
    if twice:
        raise ValueError(f"declared in two modules: {', '.join(twice)}")
    if "</script" in code.lower() or "<!--" in code:
        raise ValueError("a module holds text that would end the script element")
    return f'(() => {{\n"use strict";\n{code}\n}})();\n'


def _read(name: str) -> str:
    path = resources.files("cars_bench.reports") / "static" / f"{name}.js"
    return path.read_text(encoding="utf-8")
