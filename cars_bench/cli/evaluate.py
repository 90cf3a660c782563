"""`cars-bench evaluate`: a finished model measured again, with intervals."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command, score_lines


@command(
    app,
    "evaluate",
    "cars-bench evaluate",
    "cars-bench evaluate --split val --model my-study/t0007-conv5",
    "cars-bench evaluate --json",
)
def evaluate(
    session: Session,
    split: Annotated[Literal["val", "test"], typer.Option(help="Which images.")] = "test",
    model: Annotated[
        str | None, typer.Option(help="STUDY/RUN [default: the last one].", show_default=False)
    ] = None,
) -> Document:
    """Measure the fine-tuned model and its frozen head on original images."""
    session.choose_backend("tensorflow")
    from cars_bench.finetune.evaluate import evaluate as run

    document = run(session.workspace, model, split, session.progress)
    for line in score_lines(document):
        session.say(line)
    return document
