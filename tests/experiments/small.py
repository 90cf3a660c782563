"""A small experiment on the drawn images, and shipped ones cut down to a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cars_bench.experiments.config import Data, Finish
from cars_bench.experiments.experiment import Experiment, Planned, read_experiment
from cars_bench.tuning.space import Space, space_of

CONFIG = """\
summary: Whether warm-up helps on four shapes.
published:
  - {what: the best of all, split: test, top1: 0.68, top5: 0.9}
expected: {score: 0.5, split: test, low: 0.4, high: 0.6, minutes: 2, backbone: tiny}
features: {backbone: tiny, weights: none, image_size: 48, runtime: tensorflow, views: 2}
attempts:
  - name: one-dense
    summary: one dense layer
    space: &head
      head: {layers: [{units: 16}]}
      training: {learning_rate: 0.01, epochs: 3, batch_size: 16}
    checks: true
    measure: test
    published:
      - {what: one dense layer, split: test, top1: 0.2}
  - name: surgery
    summary: unfrozen after warm-up
    space: *head
    finetune: &finish
      unfreeze: all-but:1
      recipe: {views: 2, augment: light, training: {epochs: 2, batch_size: 16}}
  - name: no-warm-up
    summary: unfrozen at once
    space: *head
    finetune: {<<: *finish, warm_up: false}
"""


def small(folder: Path, text: str = CONFIG) -> Experiment:
    """The experiment in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text(text)
    return read_experiment(text, folder)


def shrunk(experiment: Experiment) -> Experiment:
    """The same attempts with a tiny backbone, small pictures, few trials and an epoch or two."""
    return replace(
        experiment,
        config=replace(experiment.config, features=_tiny(experiment.config.features)),
        planned=tuple(map(_shrunk, experiment.planned)),
    )


def _tiny(features: Any) -> Any:
    pixels = features.backbone == "pixels"
    return replace(
        features,
        backbone="pixels" if pixels else "tiny",
        weights=None if pixels else "none",
        image_size=32 if pixels else 48,
        views=min(features.views or 1, 2),
        runtime="tensorflow",
    )


def _shrunk(planned: Planned) -> Planned:
    attempt = replace(
        planned.attempt, trials=min(planned.attempt.trials, 2), epochs=1, repeats=0, checks=False
    )
    features = _tiny(planned.features)
    space = planned.space
    if features.backbone == "pixels":
        space = _narrow(space)
    return replace(
        planned,
        attempt=attempt,
        data=_without_detector(planned.data),
        features=features,
        space=space,
        finish=planned.finish and _short(planned.finish),
    )


def _without_detector(data: Data) -> Data:
    """The source's own boxes, since no detector sees anything in a drawn shape."""
    own = replace(data, detect_classes=None, detect_threshold=None, crop_margin=None)
    cut = "boxes" if (data.crop or "").startswith("detector") else data.crop
    return replace(own, crop=cut, boxes="source" if data.boxes else None)


def _narrow(space: Space) -> Space:
    """The same network with few filters and units."""
    document = dict(space.document)
    head = dict(document.get("head", {}))
    head["stages"] = [stage | {"filters": 4, "blocks": 1} for stage in head.get("stages", [])]
    head["layers"] = [layer | {"units": 8} for layer in head.get("layers", [])]
    return space_of(document | {"head": head})


def _short(finish: Finish) -> Finish:
    """One epoch of the same; the tiny backbone has three convolutions."""
    recipe = finish.options("", "").resolved()
    short = replace(
        recipe,
        training=replace(recipe.training, epochs=1, batch_size=16),
        views=min(recipe.views, 2),
    )
    last = (finish.unfreeze or "").startswith("last:")
    return replace(finish, recipe=short, unfreeze="last:1" if last else finish.unfreeze)
