"""What a cache cost to make, kept beside it so that its own bytes depend on nothing but its key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cars_bench.documents import from_json, to_json
from cars_bench.errors import UsageError
from cars_bench.workspace import Workspace, write_json


@dataclass(frozen=True)
class Cost:
    """Of all passes together, in whole shards.

    Attributes:
        images: Computed features.
        seconds: Wall time that they took.
    """

    images: int = 0
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float:
        """0 where nothing was measured."""
        return self.images / self.seconds if self.seconds else 0.0


def read_cost(workspace: Workspace, key: str) -> Cost:
    """What was recorded for a cache; nothing where it was made elsewhere."""
    try:
        return from_json(Cost, json.loads(cost_path(workspace, key).read_bytes()))
    except (FileNotFoundError, ValueError, UsageError):
        return Cost()


def add_cost(workspace: Workspace, key: str, images: int, seconds: float) -> None:
    """Count what one shard took."""
    so_far = read_cost(workspace, key)
    added = Cost(so_far.images + images, round(so_far.seconds + seconds, 3))
    write_json(cost_path(workspace, key), to_json(added))


def cost_path(workspace: Workspace, key: str) -> Path:
    """The record of one cache, outside its folder, as its lock is."""
    return workspace.features / ".costs" / f"{key}.json"
