"""Which caches fit the present configuration, and what differs in those that nearly do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cars_bench.cache.keys import FeatureRecipe, titles
from cars_bench.cache.manifest import read_manifest
from cars_bench.cache.store import cache_keys
from cars_bench.checksums import canonical
from cars_bench.data.card import read_card
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.data.policies import policy
from cars_bench.errors import CacheUnusable, CarsBenchError, DatasetMissing, RecordDamaged
from cars_bench.workspace import Workspace

_SAME_NAME = ("backbone", "image_size", "pooling", "dtype")


@dataclass(frozen=True, kw_only=True)
class Match:
    """One cache beside the present configuration.

    Attributes:
        key: The cache's key.
        state: `ready`, `unfinished` or `corrupt`.
        differences: Recipe fields that are not as configured; empty for a match.
        dataset: Name of its dataset; empty unless ready.
        backbone: Its backbone; likewise.
        views: Views of its train split; likewise 0.
        records: Records of all splits and views; likewise 0.
        bytes: Bytes of all shards; likewise 0.
        current: It is the default of later commands.
        recipe: What it was made by; `None` unless ready.
        detail: What makes it corrupt, in one sentence; else empty.
    """

    key: str
    state: str
    differences: tuple[str, ...] = ()
    dataset: str = ""
    backbone: str = ""
    views: int = 0
    records: int = 0
    bytes: int = 0
    current: bool = False
    recipe: FeatureRecipe | None = None
    detail: str = ""

    @property
    def matches(self) -> bool:
        """Whether it is what the present configuration would make."""
        return self.state == "ready" and not self.differences

    @property
    def text(self) -> str:
        """What to say about it: `matches`, or what differs."""
        if self.state != "ready":
            return self.state
        return f"differs in {titles(list(self.differences))}" if self.differences else "matches"


def caches(workspace: Workspace) -> list[Match]:
    """Every cache of the workspace, the closest to the present configuration first.

    Nothing heavy is loaded: weights, runtime and precision are compared only
    with those of the cache that was made or used last.
    """
    present = present_recipe(workspace)
    current = workspace.settings().get("cache", {}).get("key")
    found = [_match(workspace, key, present, key == current) for key in cache_keys(workspace)]
    return sorted(found, key=lambda item: (item.state != "ready", len(item.differences), item.key))


def present_recipe(workspace: Workspace) -> FeatureRecipe | None:
    """The recipe that `extract` would follow now, as far as the settings and the dataset tell.

    It is the default cache's recipe with the settings' and the dataset's
    present values; `None` where there is no usable default cache.
    """
    settings = workspace.settings().get("cache", {})
    try:
        recipe = read_manifest(workspace.features / str(settings.get("key", ""))).recipe
    except CarsBenchError:
        return None
    changed: dict[str, Any] = {name: settings[name] for name in _SAME_NAME if name in settings}
    if "seed" in settings:
        changed["augment_seed"] = settings["seed"]
    if "augment" in settings:
        changed |= _policy_now(settings["augment"])
    return replace(recipe, **changed, resize=RESIZE_METHOD, **_dataset_now(workspace))


def _policy_now(name: str) -> dict[str, Any]:
    try:
        return {"augment": canonical(policy(name).to_json())}
    except CarsBenchError:
        return {"augment": f"missing policy {name}"}


def _dataset_now(workspace: Workspace) -> dict[str, Any]:
    """What the default dataset's card says; the table itself is not read."""
    name = workspace.settings().get("dataset", {}).get("name")
    if not name:
        return {}
    try:
        card = read_card(workspace.dataset(name))
    except DatasetMissing:
        return {}
    except RecordDamaged:
        return {"dataset_digest": "unreadable card"}
    return {"dataset_digest": card.digest, "crop": card.crop}


def _match(workspace: Workspace, key: str, present: FeatureRecipe | None, current: bool) -> Match:
    try:
        manifest = read_manifest(workspace.features / key)
    except CacheUnusable as error:
        return Match(key=key, state="corrupt", current=current, detail=error.message)
    except CarsBenchError:
        return Match(key=key, state="unfinished", current=current)
    recipe = manifest.recipe
    return Match(
        key=key,
        state="ready",
        differences=tuple(recipe.differences(present)) if present else (),
        dataset=manifest.dataset,
        backbone=recipe.backbone,
        views=manifest.views("train"),
        records=manifest.records,
        bytes=manifest.bytes,
        current=current,
        recipe=recipe,
    )
