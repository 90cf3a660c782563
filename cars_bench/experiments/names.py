"""What an experiment's datasets and studies are called; attempts that need the same share one."""

from __future__ import annotations

import re

from cars_bench.checksums import checksum
from cars_bench.experiments.experiment import Experiment, Planned

DIGITS = 6
LONGEST = 150


def dataset_name(experiment: Experiment, wanted: Planned) -> str:
    """The experiment's name, and what the attempt wants otherwise: `sweep-and-crop-crop-boxes`."""
    own = experiment.config.data.said()
    said = wanted.data.said()
    changed = [f"{key}-{said[key]}" for key in said if said[key] != own.get(key)]
    return _plain("-".join([experiment.name, *changed]))


def study_name(experiment: Experiment, wanted: Planned) -> str:
    """The first attempt with the same search names it; so a changed search has another study."""
    mine = wanted.searched()
    first = next(item for item in experiment.planned if item.searched() == mine)
    return _plain(f"{experiment.name}-{first.name}-{checksum(mine)[:DIGITS]}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST]
