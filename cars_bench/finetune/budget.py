"""`--time`: what a run may take, and the epochs and views of its recipe that fit into that.

Keras is not imported here: what a recipe takes is told by a function (`cost.Pace`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cars_bench.errors import UsageError, shown
from cars_bench.finetune.recipe import FinetuneOptions, Recipe
from cars_bench.progress import HOUR, MINUTE, duration, plural
from cars_bench.training.schedules import laid_out

PART = r"(\d{1,6}(?:\.\d{1,6})?)([hms])"
SLACK = 1.1
"""So much more is advised than was too little, since it is measured anew."""
UNITS = {"h": HOUR, "m": MINUTE, "s": 1}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may take.

    Attributes:
        seconds: Of the whole run.
        asked: The recipe before epochs and views were cut to that; `None` until they are.
    """

    seconds: float
    asked: Recipe | None = None


def budget_of(options: FinetuneOptions) -> Budget | None:
    """What the run may take, if that was said.

    Raises:
        UsageError: It is no length of time.
    """
    return None if options.time is None else Budget(seconds=seconds_of(options.time))


def seconds_of(text: str) -> float:
    """Seconds of `20m`, `1h`, `90s`, `1.5h` or `1h30m`.

    Raises:
        UsageError: It is no length of time above 0.
    """
    parts = re.findall(PART, str(text))
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not re.fullmatch(f"(?:{PART})+", str(text)) or seconds <= 0:
        raise UsageError(f"--time {shown(text)} is no length of time.", "--time 20m, 1h or 90s")
    return float(seconds)


def fitted(recipe: Recipe, seconds: float, price: Callable[[Recipe], float]) -> Recipe:
    """The recipe with the most epochs, and then the most views, that a budget allows.

    An epoch draws one view of each image, so with fewer epochs fewer views are seen: for each
    number of epochs the views may fall in the same proportion, and no further.

    Args:
        recipe: As asked for; its schedule is laid out for the epochs that remain.
        seconds: The budget.
        price: Seconds that a recipe takes.

    Raises:
        UsageError: It does not allow one epoch.
    """
    candidates = list(_candidates(recipe))
    found = next((item for item in candidates if price(item) <= seconds), None)
    if found:
        return found
    least = price(candidates[-1])
    minutes = math.ceil(SLACK * least / MINUTE)
    raise UsageError(
        f"--time {duration(seconds)} is too little: one epoch takes {duration(least)} with all "
        "that goes before and after it.",
        f"--time {minutes}m or more, a smaller --unfreeze, or fewer pixels",
    )


def cut_text(recipe: Recipe, whole: Recipe, seconds: float) -> str:
    """What a budget left of a recipe, in one line."""
    if recipe == whole:
        return f"The whole recipe fits into {duration(seconds)}"
    now, before = (
        f"{plural(item.training.epochs, 'epoch')} on {plural(item.views, 'view')}"
        for item in (recipe, whole)
    )
    return f"Into {duration(seconds)} fit {now}, of {before}; the schedule is laid out for them"


def _candidates(recipe: Recipe) -> Iterator[Recipe]:
    """The recipe and what may be left of it, the best first and the cheapest last."""
    most = recipe.training.epochs
    for epochs in range(most, 0, -1):
        augmented = math.ceil((recipe.views - 1) * (epochs - 1) / max(most - 1, 1))
        fewest = recipe.views if recipe.live else 1 + augmented
        for views in range(recipe.views, fewest - 1, -1):
            yield replace(recipe, views=views, training=laid_out(recipe.training, epochs))
