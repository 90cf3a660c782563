"""The space of an attempt that goes on with a former one's winner: `{winner_of: ATTEMPT}`.

Until the former search ended, its head and its training are not known; until then such a space
says whose winner it waits for, and everything that this search depends on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cars_bench.documents import FieldError, from_json, meant, to_json
from cars_bench.training.specs import HeadSpec, TrainingSpec
from cars_bench.tuning.space import TRAINING, Space, space_of
from cars_bench.yaml_text import YamlText

WINNER_OF = "winner_of"
SEARCH = "search"
PARTS = (WINNER_OF, TRAINING)


def awaited_space(
    file: YamlText,
    place: tuple[str, ...],
    said: dict[str, Any],
    searches: Mapping[str, dict[str, Any]],
) -> Space:
    """The space before the winner is known.

    Args:
        file: The config.
        place: Names of the fields down to the space.
        said: What stands there.
        searches: Former attempts that search, and what each search depends on.

    Raises:
        UsageError: It names no former attempt with a search, or says more than what is changed
            of the winner's training; names the line.
    """
    for key in said:
        if key not in PARTS:
            problem = f"{key} cannot stand beside {WINNER_OF}, whose head and training are taken"
            raise file.error((*place, key), problem, f"{meant(key, PARTS)}drop {key}")
    name = str(said[WINNER_OF])
    if name not in searches:
        problem = f"{WINNER_OF} must name an attempt above with a search, not {name!r}"
        fix = f"write {' or '.join(searches)}" if searches else "write a space"
        raise file.error((*place, WINNER_OF), problem, fix)
    changed = said.get(TRAINING, {})
    try:
        from_json(TrainingSpec, changed)
    except FieldError as error:
        raise file.error((*place, TRAINING, *error.place), error.message, error.fix) from error
    document = {WINNER_OF: name, TRAINING: changed, SEARCH: searches[name]}
    return Space(name=name, hyperparameters=(), fixed={}, document=document)


def winner_space(awaited: Space, head: HeadSpec, training: TrainingSpec) -> Space:
    """The same once the winner is known: one trial with its head, and its training as changed.

    Raises:
        UsageError: What is changed does not go with the winner's training.
    """
    changed = to_json(training) | awaited.document[TRAINING]
    return space_of({"name": awaited.name, "head": to_json(head), TRAINING: changed})
