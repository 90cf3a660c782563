"""`cars-bench tune`: search heads on a feature cache."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from cars_bench.cli.app import app
from cars_bench.cli.session import Document, Session, TrackOption, command, points
from cars_bench.progress import accuracy, plural


@command(
    app,
    "tune",
    "cars-bench tune --trials 100",
    "cars-bench tune --trials 200                    # goes on to 200 in all",
    "cars-bench tune --trials 50 --oracle bayesian --space wide --study wide-bayes",
    "cars-bench tune --trials 20 --space my_space.yaml --seed 7 --study mine",
    "cars-bench tune --trials 100 --track tensorboard  # or mlflow:http://HOST:PORT",
)
def tune(
    session: Session,
    trials: Annotated[int, typer.Option(min=1, help="The study's total; again resumes.")] = 100,
    oracle: Annotated[str, typer.Option(help="random, bayesian, hyperband or grid.")] = "random",
    space: Annotated[str, typer.Option(help="default, wide, quick, or a YAML file.")] = "default",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Upper bound a trial [default: the space's].", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the oracle and the trials.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that train [default: one a core, up to 4].", show_default=False
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=0, help="New seeds that the best five are trained again with.")
    ] = 3,
    refit: Annotated[
        str,
        typer.Option(help="train+val: train the winner on both, for its chosen epochs."),
    ] = "",
    study: Annotated[
        str | None,
        typer.Option(help="Name [default: one for the cache].", show_default=False),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(help="Start of a cache's key [default: the last one].", show_default=False),
    ] = None,
    track: TrackOption = None,
) -> Document:
    """Search dense heads on the cached features.

    The same command again goes on where it stopped.
    """
    from cars_bench.tuning.study import study_names

    first = not study_names(session.workspace)
    if first and "KERAS_BACKEND" not in os.environ:
        session.suggest("jax", "JAX makes the search two to four times faster")
    choose_backend(session, cache)
    from dataclasses import asdict

    from cars_bench.backbones.catalogue import is_picture
    from cars_bench.documents import to_json
    from cars_bench.finetune.runs import frozen_test_top1
    from cars_bench.tracking.follow import tracked
    from cars_bench.tuning.leaderboard import leaderboard, no_head_beats, why_chosen, winners_curse
    from cars_bench.tuning.search import TuneOptions
    from cars_bench.tuning.search import tune as run

    options = TuneOptions(
        trials=trials,
        oracle=oracle,
        space=space,
        epochs=epochs,
        seed=seed,
        study=study,
        cache=cache,
        workers=workers,
        repeats=repeats,
        refit=refit,
    )
    with tracked(track, session.workspace, session.progress) as follow:
        result = run(session.workspace, options, session.progress, frozen_test_top1, follow)
    rows = leaderboard(result.study)
    winner = next(row for row in rows if row.trial_id == result.winner.trial_id)
    curse = winners_curse(result.study, frozen_test_top1(result.study, winner.trial_id))
    session.say(
        f"{result.run} of {result.planned} trials; winner {winner.trial_id}: {winner.description}\n"
        f"validation top-1 {accuracy(winner.score, winner.low, winner.high)}"
        f"{_seeds(winner.repeats)}"
    )
    if why := why_chosen(rows, winner.trial_id):
        session.say(f"it is {why}: cars-bench trials")
    boxes = result.head.record.boxes
    if boxes:
        session.say(f"its boxes on validation: {boxes.text}")
    for item in result.brackets:
        session.say(f"bracket {item.number}: {item.run} of {item.planned} trials planned")
    if curse:
        session.say(
            f"expected drop of the best of {curse.candidates} on new images: "
            f"{points(curse.expected_drop)}"
        )
    if no_head_beats(rows, winner.trial_id):
        session.say("no head beats the best probe: cars-bench trials")
    session.say(f"study: {result.study.folder}\nnext: cars-bench finetune --best")
    if is_picture(result.study.record.features.backbone):
        session.say(
            "(that trains nothing more: it makes the network a model and reads the test images)"
        )
    return {
        "study": result.study.name,
        "planned": result.planned,
        "run": result.run,
        "brackets": [asdict(item) for item in result.brackets],
        "winner": winner.to_json(),
        "winners_curse": asdict(curse) if curse else None,
        "refit": result.head.refit,
        "boxes": {"val": to_json(boxes)} if boxes else {},
    }


def choose_backend(session: Session, cache: str | None) -> None:
    """JAX, where it is installed; but for maps, whose convolutions it compiles for minutes."""
    from cars_bench.cache.store import holds_maps
    from cars_bench.keras_backend import fastest_first

    maps = holds_maps(session.workspace, cache)
    chosen = session.choose_backend(*fastest_first(maps))
    if maps and chosen == "jax":
        session.progress.log(
            "KERAS_BACKEND=jax: on a CPU JAX compiles convolutions for minutes; unset it for "
            "TensorFlow, which does not"
        )


def _seeds(repeats: int) -> str:
    return f", mean of {plural(repeats, 'new seed')}" if repeats else ""
