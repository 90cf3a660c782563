"""`cars-bench check`: sanity checks before spending anything."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command


@command(app, "check", "cars-bench check", "cars-bench check --cache 3f2a --json")
def check(
    session: Session,
    cache: Annotated[
        str | None,
        typer.Option(help="Start of a cache's key [default: the last one].", show_default=False),
    ] = None,
) -> Document:
    """Check features, losses and learning on the cache before tuning.

    Each line says what was expected and what was seen.
    """
    session.choose_backend("jax", "tensorflow")
    from cars_bench.tuning.sanity import require_passed, run_checks

    checks = run_checks(session.workspace, cache)
    for item in checks:
        verdict = "ok  " if item.passed else "FAIL"
        session.say(f"{verdict} {item.name:26} expected {item.expected}; saw {item.saw}")
    require_passed(checks)
    return {"checks": [asdict(item) for item in checks]}
