"""What an experiment asks that cannot be: refused by attempt and line before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from cars_bench.backbones.catalogue import POOLINGS, UNPOOLED, BackboneSpec, spec
from cars_bench.data.prepare import PrepareOptions, check_options
from cars_bench.detectors.prepare import check_boxed
from cars_bench.errors import CarsBenchError, UsageError
from cars_bench.experiments.experiment import Experiment, Planned
from cars_bench.experiments.sources import prepare_options
from cars_bench.finetune.plan import resolved_recipe
from cars_bench.finetune.recipe import ALL, ALL_BUT, LAST, NOTHING
from cars_bench.keras_backend import load_keras
from cars_bench.progress import Progress
from cars_bench.training.specs import refuse_mixed_boxes

Place = tuple[str, ...]
Check = Callable[[], object]
HERE = Path()
"""Stands for the source, which is not looked at."""


def refuse_impossible(experiment: Experiment, progress: Progress) -> None:
    """Refuse whatever is known to fail without a look at the pictures.

    Keras is loaded only where the catalogue does not know whether a network has what is to be
    unfrozen.

    Raises:
        UsageError: The first such thing; names the attempt and the line.
    """
    for wanted in experiment.planned:
        for place, check in _checks(wanted, progress):
            try:
                check()
            except UsageError as error:
                raise located(experiment, wanted, error, place) from error


def located(
    experiment: Experiment, wanted: Planned, error: CarsBenchError, place: Place = ()
) -> CarsBenchError:
    """The same error with the attempt's name and, for what the config says, its line.

    Args:
        experiment: Has the config's text.
        wanted: The attempt.
        error: What went wrong.
        place: Names of the fields in the attempt, or in the config where the attempt has none.
    """
    said = f"{wanted.name}: {error.message}"
    if isinstance(error, UsageError):
        said = experiment.file.error(_where(experiment, wanted, place), said, "").message
    return type(error)(said, error.fix)


def _where(experiment: Experiment, wanted: Planned, place: Place) -> Place:
    """Where a field stands: in the attempt, else in the config's own part."""
    index = experiment.planned.index(wanted)
    value = experiment.file.value
    attempt = ("attempts", str(index))
    if _has(value["attempts"][index], place) or not _has(value, place):
        return (*attempt, *place)
    return place


def _has(value: object, place: Place) -> bool:
    for name in place:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _checks(wanted: Planned, progress: Progress) -> Iterator[tuple[Place, Check]]:
    """Each field that may be wrong, and what raises a `UsageError` if it is."""
    yield ("features", "backbone"), lambda: spec(wanted.features.options().backbone)
    data = wanted.data
    yield ("data", "split"), lambda: check_options(PrepareOptions(source=HERE, split=data.split))
    boxes = ("data", "boxes" if data.boxes else "crop")
    yield boxes, lambda: check_boxed(*prepare_options(data, HERE))
    yield ("space",), lambda: _check_head(wanted)
    if wanted.finish:
        unfreeze = ("finetune", "unfreeze" if wanted.finish.unfreeze else "recipe")
        yield unfreeze, lambda: _check_unfreeze(wanted, progress)
        yield ("finetune", "recipe"), lambda: _check_recipe(wanted)


def _check_head(wanted: Planned) -> None:
    """Refuse a head that its features, or its pictures, do not go with."""
    pooling = wanted.features.options().pooling
    if wanted.convolves and pooling != UNPOOLED:
        others = ", ".join(name for name in POOLINGS if name != UNPOOLED)
        raise UsageError(
            f"A head with convolutions needs a map, and pooling {pooling} leaves none.",
            f"pooling: {UNPOOLED} (not {others}), or backbone: pixels",
        )
    if wanted.space.head.box and (wanted.data.crop or "none") != "none":
        raise UsageError(
            "A head with a box needs whole pictures, and these are cut to their boxes.",
            "leave out the crop; boxes: detector finds boxes and leaves pictures whole",
        )


def _check_unfreeze(wanted: Planned, progress: Progress) -> None:
    """Refuse what a network does not have to unfreeze."""
    assert wanted.finish is not None
    options = wanted.features.options()
    backbone = spec(options.backbone)
    text = resolved_recipe(
        wanted.finish.options("", ""), backbone, wanted.features.options().boundary
    ).unfreeze
    if _is_known(text, backbone):
        return
    load_keras(progress, "tensorflow")
    from cars_bench.backbones.build import Backbone
    from cars_bench.backbones.networks import build_network
    from cars_bench.finetune.unfreeze import parse_unfreeze

    model = build_network(backbone, options.image_size)
    parse_unfreeze(text, Backbone(backbone, model, "", options.image_size))


def _is_known(text: str, backbone: BackboneSpec) -> bool:
    """Whether the catalogue alone tells that a network has this to unfreeze."""
    number = text.rpartition(":")[2]
    fewest = len(backbone.blocks) - 1  # of convolutions: every block but the stem has one
    if text.startswith((ALL_BUT, LAST)):
        return number.isdigit() and 0 < int(number) <= fewest
    return text in (ALL, NOTHING, *backbone.blocks)


def _check_recipe(wanted: Planned) -> None:
    assert wanted.finish is not None
    recipe = wanted.finish.options("", "").resolved()
    refuse_mixed_boxes(wanted.space.head.box, recipe.training)
