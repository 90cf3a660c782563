"""`cars-bench probe`: simple classifiers on the cached features, in seconds."""

from __future__ import annotations

from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command
from cars_bench.progress import accuracy


@command(app, "probe", "cars-bench probe", "cars-bench probe --cache 3f2a --study uncropped")
def probe(
    session: Session,
    study: Annotated[
        str | None,
        typer.Option(help="Name [default: the last one on this cache].", show_default=False),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(help="Start of a cache's key [default: the last one].", show_default=False),
    ] = None,
) -> Document:
    """Measure ridge, logistic regression and kNN on the cache.

    They join the leaderboard, where heads are measured against them.
    """
    from cars_bench.tuning.leaderboard import leaderboard
    from cars_bench.tuning.probes import run_probes

    opened = run_probes(session.workspace, cache, study, session.progress)
    rows = [row for row in leaderboard(opened) if row.kind == "probe"]
    for row in rows:
        session.say(
            f"{row.trial_id:15} validation top-1 {accuracy(row.score, row.low, row.high)}  "
            f"{row.seconds:.1f} s"
        )
    return {"study": opened.name, "probes": [row.to_json() for row in rows]}
