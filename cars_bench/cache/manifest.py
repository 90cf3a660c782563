"""`manifest.json`: the card of a feature cache, written last, with a digest over itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cars_bench import SCHEMA_VERSION
from cars_bench.atomic import write_json
from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.shards import ShardEntry
from cars_bench.checksums import checksum, read_json
from cars_bench.documents import from_json, to_json
from cars_bench.errors import CacheCorrupt, CacheMissing, UsageError
from cars_bench.workspace import Workspace

MANIFEST_FILE = "manifest.json"
REPAIR = "cars-bench cache verify --repair"
_FIELDS = ("recipe", "dataset", "class_names", "shape", "extraction", "shards")


@dataclass(frozen=True)
class Agreement:
    """How close the runtime's features came to TensorFlow's on some real images.

    Attributes:
        smallest_cosine: Of any of them; `None` where TensorFlow itself is the runtime.
        needed: What it had to reach.
    """

    smallest_cosine: float | None = None
    needed: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the features can be trusted."""
        if self.smallest_cosine is None or self.needed is None:
            return True
        return self.smallest_cosine >= self.needed


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a cache was made, beyond its recipe.

    Attributes:
        weights: Where they came from: `imagenet`, `none` or a path.
        batch_size: Images that were handled together.
        augment: The policy's name.
        agreement: Of the runtime with TensorFlow.
        versions: Of the packages that had a part in it, by name.
    """

    weights: str
    batch_size: int
    augment: str
    agreement: Agreement
    versions: dict[str, str]


@dataclass(frozen=True)
class Origin:
    """The part of a manifest that tells how to make its cache again."""

    recipe: FeatureRecipe
    dataset: str
    extraction: Provenance


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a complete cache holds.  Nothing in it depends on when it was made.

    Attributes:
        recipe: What its key covers.
        dataset: Name of the dataset.
        class_names: The index is the label.
        shape: Shape of one feature.
        extraction: How it was made, beyond the recipe.
        shards: Every shard, ordered by view, split and number.
    """

    recipe: FeatureRecipe
    dataset: str
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    extraction: Provenance
    shards: tuple[ShardEntry, ...]

    @property
    def origin(self) -> Origin:
        """How to make it again."""
        return Origin(self.recipe, self.dataset, self.extraction)

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the stored features."""
        return np.dtype(self.recipe.dtype).newbyteorder("<")

    @property
    def holds_maps(self) -> bool:
        """Whether a feature is a map (of a block, or the picture), not one pooled vector."""
        return len(self.shape) > 1

    @property
    def records(self) -> int:
        """Records of all splits and views."""
        return sum(shard.records for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)

    def views(self, split: str) -> int:
        """How many views of the split are stored; 0 for a split that has no image."""
        return len({shard.view for shard in self.shards if shard.split == split})

    def images(self, split: str) -> int:
        """How many images the split has."""
        return sum(item.records for item in self.select(split, 0))

    def select(self, split: str, view: int) -> list[ShardEntry]:
        """The shards of one split and view, in order."""
        return [item for item in self.shards if item.split == split and item.view == view]

    def to_json(self) -> dict[str, Any]:
        """The document as stored, its digest included."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "key": self.recipe.key,
            "recipe": to_json(self.recipe),
            "dataset": self.dataset,
            "class_names": list(self.class_names),
            "shape": list(self.shape),
            "dtype": self.recipe.dtype,
            "extraction": to_json(self.extraction),
            "shards": [to_json(shard) for shard in self.shards],
        }
        return document | {"digest": checksum(document)}

    def write(self, folder: Path) -> None:
        """Write it atomically into the cache's folder."""
        write_json(folder / MANIFEST_FILE, self.to_json())


def read_manifest(folder: Path) -> Manifest:
    """Read and check a cache's manifest.

    Raises:
        CacheMissing: There is none: no cache, or one that was never finished.
        CacheCorrupt: It was edited or damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        document = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(folder) from None
    except ValueError as error:
        raise CacheCorrupt(f"{path} is not JSON ({error}).", REPAIR) from error
    try:
        promised = document.pop("digest")
        manifest = from_json(Manifest, {name: document[name] for name in _FIELDS})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CacheCorrupt(f"{path} was edited: {error} is wrong or missing.", REPAIR) from error
    except UsageError as error:
        raise CacheCorrupt(f"{path} was edited: {error.message}", REPAIR) from error
    if promised != checksum(document):
        raise CacheCorrupt(f"{path} was edited: its digest does not match.", REPAIR)
    if manifest.recipe.key != folder.name:
        raise CacheCorrupt(f"{path} belongs to another cache ({manifest.recipe.key}).", REPAIR)
    return manifest


def legible_origin(folder: Path) -> Origin | None:
    """What a damaged manifest still tells about how its cache was made, if anything."""
    try:
        return from_json(Origin, read_json(folder / MANIFEST_FILE), partly=True)
    except (OSError, ValueError, UsageError):
        return None


def _missing(folder: Path) -> CacheMissing:
    if folder.is_dir():
        return CacheMissing(
            f"The cache {folder.name} was never finished.", "cars-bench extract goes on with it"
        )
    return CacheMissing(
        f"There is no cache {folder.name}.", "cars-bench cache ls, or cars-bench extract"
    )


@dataclass(frozen=True)
class Cost:
    """What a cache cost to make, in whole shards of all passes together.

    Kept beside the cache, so that its own bytes depend on nothing but its key.

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
        return from_json(Cost, read_json(cost_path(workspace, key)))
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
