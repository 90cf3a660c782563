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
    for line in (*score_lines(document), *_more(document)):
        session.say(line)
    return document


def _more(document: Document) -> list[str]:
    """What a person wants to know beyond accuracy."""
    pair, found = document["mcnemar"], document["measures"]["finetuned"]
    macro, worst = found["macro"], sorted(found["classes"], key=lambda row: row["value"])[:5]
    error = {
        stage: document["measures"][stage]["calibration"]["expected_calibration_error"]
        for stage in ("frozen", "finetuned")
    }
    lines = [
        f"only the fine-tuned right: {pair['only_finetuned_right']}, only the frozen: "
        f"{pair['only_frozen_right']} (McNemar p {pair['p_value']:.3g})",
        f"mean over classes {macro['value']:.4f} ({macro['low']:.4f} to {macro['high']:.4f})",
        f"calibration error {error['finetuned']:.4f} (frozen {error['frozen']:.4f})",
        "hardest classes: " + ", ".join(f"{row['class']} {row['value']:.2f}" for row in worst),
    ]
    lines += [
        f"taken for another: {row['true']} -> {row['predicted']} ({row['count']})"
        for row in found["confused"][:5]
    ]
    for name, rows in found["groups"].items():
        shown = ", ".join(f"{row['group']} {row['value']:.2f}" for row in rows[:5])
        lines.append(f"by {name}, hardest first: {shown}")
    return lines
