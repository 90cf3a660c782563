"""`cars-bench evaluate`: a finished model measured again, with intervals."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Literal

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command, score_lines
from cars_bench.progress import accuracy


@command(
    app,
    "evaluate",
    "cars-bench evaluate",
    "cars-bench evaluate --split val --model my-study/t0007-conv5",
    "cars-bench evaluate --study my-study            # its winner, not fine-tuned",
    "cars-bench evaluate --json",
)
def evaluate(
    session: Session,
    split: Annotated[Literal["val", "test"], typer.Option(help="Which images.")] = "test",
    model: Annotated[
        str | None, typer.Option(help="STUDY/RUN [default: the last one].", show_default=False)
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="The frozen winner of this study instead.", show_default=False),
    ] = None,
) -> Document:
    """Measure the fine-tuned model, and its frozen head beside it.

    What they answer is kept beside them, and the next report shows it.  Where nothing was
    fine-tuned yet, the last study's winner is measured on the cached features.
    """
    session.choose_backend("tensorflow")
    from cars_bench.finetune.evaluate import evaluate_either

    document = evaluate_either(session.workspace, model, study, split, session.progress)
    for line in (*score_lines(document), *_more(document)):
        session.say(line)
    session.say(f"next: cars-bench report --study {quote(document['model'].partition('/')[0])}")
    return document


def _more(document: Document) -> list[str]:
    """What a person wants to know beyond accuracy."""
    measures = document["measures"]
    found = measures.get("finetuned", measures["frozen"])
    macro = found["macro"]
    worst = sorted(found["classes"], key=lambda row: row["value"])[:5]
    errors = [
        f"{document['stages'][stage]} {one['calibration']['expected_calibration_error']:.1%}"
        for stage, one in measures.items()
    ]
    cooled = document.get("temperature")
    if cooled:
        errors.append(
            f"{cooled['expected_calibration_error']:.1%} with temperature {cooled['value']:.3g}"
        )
    lines = [_paired(document["mcnemar"], document["stages"])] if "mcnemar" in document else []
    gain = document.get("gain")
    lines += [gain["said"]] if gain else []
    lines += [
        f"mean over classes: {accuracy(macro['value'], macro['low'], macro['high'])}",
        f"calibration error: {', '.join(errors)}",
        "hardest classes: " + ", ".join(f"{row['class']} {row['value']:.0%}" for row in worst),
    ]
    lines += [
        f"taken for another: {row['true']} -> {row['predicted']} ({row['count']})"
        for row in found["confused"][:5]
    ]
    for name, rows in found["groups"].items():
        shown = ", ".join(f"{row['group']} {row['value']:.0%}" for row in rows[:5])
        lines.append(f"by {name}, hardest first: {shown}")
    return lines


def _paired(pair: Document, stages: dict[str, str]) -> str:
    return (
        f"only the {stages['finetuned']} right: {pair['only_finetuned_right']}, "
        f"only the {stages['frozen']}: "
        f"{pair['only_frozen_right']} (McNemar's exact test p = {pair['p_value']:.2g})"
    )
