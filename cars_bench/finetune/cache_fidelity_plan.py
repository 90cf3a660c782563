"""What `cars-bench fidelity` is to do: which heads, finished how, and how long that takes.

Keras is not imported here.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cars_bench.backbones.catalogue import is_picture
from cars_bench.documents import at_least
from cars_bench.errors import UsageError
from cars_bench.finetune.cache_fidelity_record import (
    COMMAND,
    FidelityHead,
    FidelityRecord,
    read_fidelity,
)
from cars_bench.finetune.plan import RunPlan, planned
from cars_bench.finetune.recipe import NOTHING, FinetuneOptions, Recipe
from cars_bench.finetune.runs import Run, is_finished
from cars_bench.training.specs import HeadSpec, refuse_mixed_boxes
from cars_bench.tuning.leaderboard import LeaderboardRow, best_trial, head_rows
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

PURPOSE = "fidelity"
SHORT = "short"
FEWEST = 2
VALIDATION = ("val",)


@dataclass(frozen=True, kw_only=True)
class FidelityOptions:
    """What `fidelity` was asked for.

    Attributes:
        heads: Finished ones, spread over the leaderboard by rank.
        seeds: Trainings of each.
        recipe: Shipped name or path of a YAML file.
        epochs: Passes over the training images; `None` leaves them to the recipe.
        study: By default the last one.
    """

    heads: int = 12
    seeds: int = 2
    recipe: str = SHORT
    epochs: int | None = None
    study: str | None = None

    def __post_init__(self) -> None:
        at_least("heads", self.heads, FEWEST)
        at_least("seeds", self.seeds, 1)

    @property
    def command(self) -> str:
        """That asks for the same."""
        values = {
            "--heads": self.heads,
            "--seeds": self.seeds,
            "--recipe": self.recipe,
            "--epochs": self.epochs,
            "--study": self.study,
        }
        words = [f"{name} {value}" for name, value in values.items() if value is not None]
        return " ".join([COMMAND, *words])


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is left to do.

    Attributes:
        heads: The heads, best on the cache first.
        runs: How many there are in all.
        finished: Of these.
        seconds: That the others take, judged by the finished ones; `None` without any.
    """

    heads: tuple[FidelityHead, ...]
    runs: int
    finished: int
    seconds: float | None


def chosen(workspace: Workspace, options: FidelityOptions) -> FidelityRecord:
    """The record to begin with, or the one of an attempt that was stopped.

    Raises:
        UsageError: The study has too few heads, or nothing of it can be fine-tuned so.
        StudyMissing: There is no such study.
        NoTrialCompleted: No trial completed.
    """
    study = Study.open(workspace, options.study)
    _require_frozen(study)
    winner = best_trial(study).trial_id
    rows = _ranked(study)
    if len(rows) < options.heads:
        raise UsageError(
            f"Study {study.name!r} has {len(rows)} heads that completed; {options.heads} are to be "
            "finished.",
            f"cars-bench tune --trials {options.heads}, or {COMMAND} with fewer --heads",
        )
    place = next(index for index, row in enumerate(rows) if row.trial_id == winner)
    heads = [_head(rows, index) for index in spread(len(rows), options.heads, place)]
    wanted = FidelityRecord(
        study=study.name,
        recipe=_recipe(workspace, options, winner),
        seeds=options.seeds,
        winner=winner,
        heads=tuple(heads),
    )
    begun = read_fidelity(study)
    goes_on = begun is not None and not begun.complete and begun.asks_as(wanted)
    found = begun if begun and goes_on else wanted
    for head in found.heads:
        spec = study.trial(head.trial_id).head or HeadSpec()
        refuse_mixed_boxes(spec.box, found.recipe.training)
    return found


def spread(total: int, count: int, winner: int) -> list[int]:
    """`count` of the places 0 to `total - 1`, evenly spread, first and last among them.

    The winner's takes the place of its nearest one where it is not among them.
    """
    places = {round(place) for place in np.linspace(0, total - 1, count).tolist()}
    if winner not in places:
        places.remove(min(places, key=lambda place: (abs(place - winner), place)))
        places.add(winner)
    return sorted(places)


def head_plans(workspace: Workspace, record: FidelityRecord, trial_id: str) -> Iterator[RunPlan]:
    """The runs of one head, a seed each; those of an earlier attempt where there are any.

    Each is planned when it is asked for, since a new one takes the next name that is free.
    """
    return _plans(workspace, record, trial_id, record.recipe)


def view_plans(workspace: Workspace, record: FidelityRecord) -> dict[int, Iterator[RunPlan]]:
    """The winner's runs on 1, K and live views (0), by views; those of K are among the heads'."""
    cached = sorted({1, record.recipe.views})
    recipes = {views: replace(record.recipe, views=views, live=False) for views in cached}
    recipes[0] = replace(record.recipe, live=True)
    return {
        views: _plans(workspace, record, record.winner, recipe) for views, recipe in recipes.items()
    }


def outlook(workspace: Workspace, options: FidelityOptions) -> Outlook:
    """What the command would do; nothing is written.

    A live run is judged by live ones and a cached run by cached ones, where there are any.

    Raises:
        As `chosen`.
    """
    record = chosen(workspace, options)
    several = [head_plans(workspace, record, head.trial_id) for head in record.heads]
    several += view_plans(workspace, record).values()
    # The winner's cached runs stand under both.
    runs = {
        (plan.trial_id, plan.seed, plan.recipe.live, plan.recipe.views): plan
        for plans in several
        for plan in plans
    }.values()
    left = [plan for plan in runs if not is_finished(plan.folder(workspace))]
    took: dict[bool, list[float]] = {False: [], True: []}
    for plan in runs:
        if plan not in left:
            took[plan.recipe.live].append(Run.open(plan.folder(workspace)).record.seconds)
    typical = [took[plan.recipe.live] or took[not plan.recipe.live] for plan in left]
    finished = len(runs) - len(left)
    seconds = sum(map(statistics.median, typical)) if finished else None
    return Outlook(heads=record.heads, runs=len(runs), finished=finished, seconds=seconds)


def _plans(
    workspace: Workspace, record: FidelityRecord, trial_id: str, recipe: Recipe
) -> Iterator[RunPlan]:
    options = FinetuneOptions(trial=trial_id, recipe=recipe, study=record.study)
    for seed in range(record.seeds):
        yield planned(workspace, replace(options, seed=seed), VALIDATION, PURPOSE)


def _require_frozen(study: Study) -> None:
    if is_picture(study.record.features.backbone):
        raise UsageError(
            f"Study {study.name!r} trained whole networks on pictures, so no cache of features "
            "stands between their scores and the truth.",
            "cars-bench extract with a backbone, cars-bench tune, then cars-bench fidelity",
        )


def _recipe(workspace: Workspace, options: FidelityOptions, trial_id: str) -> Recipe:
    asked = FinetuneOptions(
        trial=trial_id, recipe=options.recipe, epochs=options.epochs, study=options.study
    )
    recipe = planned(workspace, asked, VALIDATION, PURPOSE).recipe
    if recipe.unfreeze == NOTHING:
        raise UsageError(
            f"The recipe {options.recipe!r} unfreezes nothing, so every head stays as it is.",
            "name a block in its `unfreeze`",
        )
    return recipe


def _ranked(study: Study) -> list[LeaderboardRow]:
    """The heads whose answers the ledger holds, best first."""
    return [row for row in head_rows(study) if row.trial.correct]


def _head(rows: Sequence[LeaderboardRow], index: int) -> FidelityHead:
    row = rows[index]
    return FidelityHead(
        trial_id=row.trial_id, rank=index + 1, cached=row.score or 0.0, tied=row.tied
    )
