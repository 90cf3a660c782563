"""`cars-bench finetune`: finish a head into a fine-tuned model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, TrackOption, command, score_lines
from cars_bench.documents import to_json

if TYPE_CHECKING:
    from cars_bench.finetune.recipe import FinetuneOptions
    from cars_bench.finetune.runs import Run
    from cars_bench.tracking.follow import Follow

KEYS = (
    "run",
    "study",
    "trial_id",
    "frozen",
    "finetuned",
    "handoff",
    "epochs",
    "best_epoch",
    "speed",
    "boxes",
)


@command(
    app,
    "finetune",
    "cars-bench finetune --best",
    "cars-bench finetune --trial t0007 --unfreeze last:5 --epochs 20 --lr 1e-4",
    "cars-bench finetune --best --recipe my_recipe.yaml --live",
    "cars-bench finetune --best --time 20m            # the most that fits into that",
    "cars-bench finetune --best --dry-run             # what would be trained, and how long",
    "cars-bench finetune --best --track tensorboard   # or mlflow:http://HOST:PORT",
    "cars-bench finetune --resume --lr 1e-5           # go on, with another rate",
    "cars-bench finetune --top 5                      # does the cache's ranking hold?",
)
def finetune(
    session: Session,
    best: Annotated[bool, typer.Option("--best", help="The winner of the study.")] = False,
    trial: Annotated[
        str | None, typer.Option(help="A trial's id instead.", show_default=False)
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="The N best heads and two random ones.", show_default=False),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the last run; --lr, --schedule and --epochs steer it."
        ),
    ] = False,
    unfreeze: Annotated[
        str | None,
        typer.Option(
            help="A block such as conv5, last:N, all-but:N, from:LAYER, all or none "
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
    refit: Annotated[
        Literal["train+val"] | None,
        typer.Option(help="Train on the validation images too, for all epochs."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of order, views and a random head.")] = 0,
    study: Annotated[
        str | None, typer.Option(help="Name [default: the last one].", show_default=False)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="What the run may take (20m, 1h, 90s): epochs and views are cut to it.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List layers, parameters and what it would take; train nothing."
        ),
    ] = False,
    track: TrackOption = None,
) -> Document:
    """Put a head back on the backbone and train them end to end.

    Before the top block is unfrozen, the two together must say what the head said on
    the cache.
    """
    from cars_bench.finetune.request import require_one_head

    begin = require_one_head(
        best=best,
        trial=trial,
        top=top,
        resume=resume,
        dry_run=dry_run,
        refit=refit,
        time=time,
    )
    from cars_bench.finetune.recipe import FinetuneOptions

    options = FinetuneOptions(
        trial=trial,
        unfreeze=unfreeze,
        epochs=epochs,
        learning_rate=lr,
        schedule=schedule,
        recipe=recipe,
        live=live,
        warm_up=not no_warm_up,
        refit=refit is not None,
        seed=seed,
        study=study,
        time=time,
    )
    if dry_run:
        return _dry_run(session, options)
    from cars_bench.tracking.follow import tracked

    with tracked(track, session.workspace, session.progress) as follow:
        if top is not None:
            return _top(session, options, top, follow)
        return _one(session, options, resume, begin, follow)


def _one(
    session: Session, options: FinetuneOptions, resume: bool, begin: bool, follow: Follow
) -> Document:
    from cars_bench.finetune.plan import last_plan
    from cars_bench.finetune.request import plan_of

    plan = plan_of(session.workspace, options, begin=begin, resume=resume)
    if going := plan or last_plan(session.workspace):
        follow(going.study)
    session.choose_backend("tensorflow")
    from cars_bench.finetune import run

    if plan is None:
        return _said(session, run.resume(session.workspace, options, session.progress))
    return _said(session, run.perform(session.workspace, plan, session.progress))


def _top(session: Session, options: FinetuneOptions, count: int, follow: Follow) -> Document:
    from cars_bench.tuning.study import Study

    follow(Study.open(session.workspace, options.study).name)
    session.choose_backend("tensorflow")
    from cars_bench.finetune.top import finetune_top

    found = finetune_top(session.workspace, options, count, session.progress)
    session.say("trial            cache   fine-tuned   (validation top-1)")
    for item in found.ranking.heads:
        drawn = "  random" if item.drawn else ""
        session.say(f"{item.trial_id:15}  {item.frozen:5.1%}   {item.finetuned:10.1%}{drawn}")
    tau = found.ranking.kendall_tau
    session.say(
        f"Kendall's tau {tau.value:.2f} (95% interval {tau.low:.2f} to {tau.high:.2f}); "
        f"the best on validation:"
    )
    return to_json(found.ranking) | _said(session, found.best)


def _dry_run(session: Session, options: FinetuneOptions) -> Document:
    from cars_bench.finetune.plan import new_plan

    plan = new_plan(session.workspace, options)
    session.choose_backend("tensorflow")
    from cars_bench.finetune.cost import cut_to_budget, measure_pace
    from cars_bench.finetune.memory import require_memory
    from cars_bench.finetune.precision import require_precision
    from cars_bench.finetune.prepared_run import describe_run, sketch_run

    require_precision(plan.recipe)
    sketch = sketch_run(session.workspace, plan)
    found = describe_run(sketch)
    require_memory(sketch)
    session.say("\n".join([*found["layers"], _outline(found)]))
    pace = measure_pace(sketch, session.progress)
    cost = pace.cost(cut_to_budget(sketch, pace, session.progress).recipe)
    session.say(cost.text)
    return found | {"seconds": cost.seconds, "cost": to_json(cost)}


def _outline(found: Document) -> str:
    if not found["layers"]:
        scratch = ": the network was trained from scratch, and is kept as it is"
        return "nothing would be trained" + (scratch if found["from_scratch"] else "")
    below = found["boundary"]
    return (
        f"{found['trainable_parameters']:,} trainable parameters in {len(found['layers'])} "
        "backbone layers and the head; "
        + (f"all below {below} is frozen" if below else "only batch norms are frozen")
    )


def _said(session: Session, run: Run) -> Document:
    from cars_bench.finetune.gain import frozen_command, gain_of
    from cars_bench.tuning.leaderboard import mean_beside
    from cars_bench.tuning.study import Study

    document = to_json(run.record) | {"stages": run.record.stages}
    for line in score_lines(document):
        session.say(line)
    frozen = run.score("frozen", "val")
    study = Study.open(session.workspace, run.record.study)
    called = run.record.stages["frozen"]
    beside = mean_beside(study, run.record.trial_id, frozen.top1.value, called) if frozen else ""
    if beside:
        session.say(beside)
    if run.record.speed:
        session.say(f"speed: {run.record.speed.text}")
    gain = gain_of(run)
    if gain:
        session.say(gain.advice)
        if not gain.paid:
            session.say(f"the frozen head as a whole model: {frozen_command(run.record)}")
    session.say(f"written: {run.folder}\nnext: cars-bench report")
    return {"folder": str(run.folder), "seconds": run.record.seconds} | {
        key: document[key] for key in KEYS
    }
