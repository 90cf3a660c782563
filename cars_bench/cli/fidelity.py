"""`cars-bench fidelity`: does the cache tell the truth?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, command, points
from cars_bench.documents import to_json
from cars_bench.progress import accuracy

if TYPE_CHECKING:
    from cars_bench.finetune.cache_fidelity_plan import FidelityOptions
    from cars_bench.finetune.cache_fidelity_record import FidelityRecord


@command(
    app,
    "fidelity",
    "cars-bench fidelity",
    "cars-bench fidelity --heads 20 --seeds 3",
    "cars-bench fidelity --recipe my_recipe.yaml --epochs 8",
    "cars-bench fidelity --dry-run             # which heads, and how long",
)
def fidelity(
    session: Session,
    heads: Annotated[
        int, typer.Option(min=2, help="Heads to finish, spread over the leaderboard by rank.")
    ] = 12,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each head.")] = 2,
    recipe: Annotated[str, typer.Option(help="A shipped recipe or a YAML file.")] = "short",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="[default: the recipe's].", show_default=False)
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name [default: the last one].", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List heads, runs and time, train nothing.")
    ] = False,
) -> Document:
    """See whether the cache's winner wins when fine-tuned.

    Heads of all ranks are finished in one way: how well both orders agree, what it costs to
    trust the cache, and what cached views lose against live ones.  Only validation images are
    read.  Stopped, the same command goes on.
    """
    from cars_bench.finetune.cache_fidelity_plan import FidelityOptions, chosen

    options = FidelityOptions(heads=heads, seeds=seeds, recipe=recipe, epochs=epochs, study=study)
    if dry_run:
        return _dry_run(session, options)
    chosen(session.workspace, options)  # what is wrong is said before Keras is imported
    session.choose_backend("tensorflow")
    from cars_bench.finetune.cache_fidelity import measure_fidelity

    found = measure_fidelity(session.workspace, options, session.progress)
    for line in fidelity_lines(found):
        session.say(line)
    session.say("next: cars-bench report")
    document = to_json(found) | {"advice": found.advice, "any_will_do": found.any_will_do}
    return document | {"best": found.best.trial_id}


def fidelity_lines(found: FidelityRecord) -> list[str]:
    """What was found out, as a person reads it."""
    lines = ["rank  head             cache   fine-tuned   (validation top-1)"]
    for head in found.heads:
        marks = "  winner" if head.trial_id == found.winner else "  tied" if head.tied else ""
        lines.append(
            f"{head.rank:4}  {head.trial_id:15}  {head.cached:5.1%}   {head.mean:10.1%}{marks}"
        )
    if found.tau and found.regret:
        tau, lost = found.tau, found.regret.lost
        lines += [
            f"Kendall's tau {tau.value:.2f} (95% interval {tau.low:.2f} to {tau.high:.2f}, over "
            "heads, seeds and images)",
            f"regret {points(lost.value)} (95% interval {100 * lost.low:.1f} to "
            f"{100 * lost.high:.1f}, over images and seeds): {found.best.trial_id} less "
            f"{found.winner}; {points(found.regret.by_chance)} of it by chance",
        ]
    lines += [
        f"{source.name:15}  {accuracy(source.top1.value, source.top1.low, source.top1.high)}  "
        f"{points(source.lost.value)} below live ({100 * source.lost.low:.1f} to "
        f"{100 * source.lost.high:.1f})  {source.epoch_seconds:.1f} s an epoch"
        for source in found.views
    ]
    return [*lines, found.advice]


def _dry_run(session: Session, options: FidelityOptions) -> Document:
    from cars_bench.finetune.cache_fidelity_plan import outlook
    from cars_bench.progress import duration

    ahead = outlook(session.workspace, options)
    for head in ahead.heads:
        tied = "  tied" if head.tied else ""
        session.say(f"{head.rank:4}  {head.trial_id:15}  {head.cached:5.1%}{tied}")
    left = "time known after the first run"
    if ahead.seconds is not None:
        left = f"about {duration(ahead.seconds)} left"
    session.say(f"{ahead.runs} runs, {ahead.finished} of them finished; {left}")
    return to_json(ahead)
