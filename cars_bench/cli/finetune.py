"""`cars-bench finetune`: finish a head into a fine-tuned model."""

from __future__ import annotations

from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command, score_lines
from cars_bench.errors import UsageError


@command(
    app,
    "finetune",
    "cars-bench finetune --best",
    "cars-bench finetune --trial t0007 --unfreeze last:5 --epochs 20 --lr 1e-4",
    "cars-bench finetune --best --recipe my_recipe.yaml --live",
    "cars-bench finetune --best --dry-run             # what would be trained",
)
def finetune(
    session: Session,
    best: Annotated[bool, typer.Option("--best", help="The winner of the study.")] = False,
    trial: Annotated[
        str | None, typer.Option(help="A trial's id instead.", show_default=False)
    ] = None,
    unfreeze: Annotated[
        str | None,
        typer.Option(
            help="A block such as conv5, last:N, from:LAYER, all or none "
            "[default: the backbone's top block].",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="[default: the recipe's].", show_default=False)
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak rate [default: the recipe's].", show_default=False)
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="constant, step, cosine, ... [default: the recipe's].", show_default=False
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="A shipped recipe or a YAML file.")] = "default",
    live: Annotated[
        bool, typer.Option("--live", help="Run the whole network on freshly augmented images.")
    ] = False,
    no_warm_up: Annotated[
        bool, typer.Option("--no-warm-up", help="Start from a random head, for comparison.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of order, views and a random head.")] = 0,
    study: Annotated[
        str | None, typer.Option(help="Name [default: the last one].", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List layers and parameters, train nothing.")
    ] = False,
) -> Document:
    """Reattach the head, prove the hand-off, unfreeze the top block and train end to end."""
    if best == (trial is not None):
        raise UsageError("Say which head to finish.", "add either --best or --trial ID")
    session.choose_backend("tensorflow")
    from cars_bench.finetune.job import FinetuneOptions, describe_job, prepare_job
    from cars_bench.finetune.run import finetune as run

    options = FinetuneOptions(
        trial, unfreeze, epochs, lr, schedule, recipe, live, not no_warm_up, seed, study
    )
    if dry_run:
        plan = describe_job(prepare_job(session.workspace, options))
        session.say("\n".join(plan["layers"]))
        session.say(
            f"{plan['trainable_parameters']:,} trainable parameters in {len(plan['layers'])} "
            f"backbone layers and the head; all below {plan['boundary'] or 'the pixels'} is frozen"
        )
        return plan
    result = run(session.workspace, options, session.progress)
    for line in score_lines(result.document):
        session.say(line)
    session.say(f"written: {result.folder}\nnext: cars-bench report")
    keys = ("run", "study", "trial_id", "frozen", "finetuned", "handoff", "epochs", "best_epoch")
    return {"folder": str(result.folder), "seconds": result.document["seconds"]} | {
        key: result.document[key] for key in keys
    }
