"""Everything an extraction needs before its first shard: images, network, runtime, dtype, key."""

from __future__ import annotations

import importlib.metadata
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cars_bench.backbones.pooling import check_pooling
from cars_bench.cache.choose import Choice, choose
from cars_bench.cache.decoding import ImageSource
from cars_bench.cache.dtypes import OutOfRange, stored
from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import Manifest
from cars_bench.cache.options import NO_BOUNDARY, ExtractOptions
from cars_bench.cache.runtimes import load_backbone, network_batch_size, network_of
from cars_bench.cache.shard_plan import PlannedShard, plan
from cars_bench.cache.shards import ShardEntry
from cars_bench.data.dataset import Dataset, ImageRecord
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.documents import canonical
from cars_bench.errors import DatasetMissing
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace

PROBE_IMAGES = 16
RANGE_FILE = "out-of-range.json"
"""Marks a float16 key whose features turned out not to fit; the float32 key is used instead."""
_PACKAGES = ("cars-bench", "tensorflow", "keras", "openvino", "numpy", "pillow")


@dataclass(frozen=True)
class Setup:
    """A network that is ready to run over a dataset.

    Attributes:
        options: What was asked for.
        source: The images.
        choice: The compiled network, and why this runtime.
        recipe: What the key covers.
        shape: Of one feature.
        seconds_per_image: Measured on the probe batch, decoding included.
    """

    options: ExtractOptions
    source: ImageSource
    choice: Choice
    recipe: FeatureRecipe
    shape: tuple[int, ...]
    seconds_per_image: float

    @property
    def dtype(self) -> np.dtype:
        """As stored."""
        return np.dtype(self.recipe.dtype).newbyteorder("<")

    @property
    def feature_bytes(self) -> int:
        """Bytes of one stored feature."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def batch_size(self) -> int:
        """Images that are handled together: what was asked for, in whole calls of the network."""
        call = self.choice.runner.batch_size
        return -(-self.options.batch_size // call) * call

    def plan(self, views: int) -> list[PlannedShard]:
        """The shards of a cache with so many views."""
        return plan(self.source.counts, views, self.feature_bytes)

    def records(self, shard: PlannedShard) -> list[ImageRecord]:
        """The images of one shard."""
        return self.source.records[shard.split][shard.start : shard.stop]

    def in_float32(self) -> Setup:
        """The same, stored in float32."""
        return replace(self, recipe=replace(self.recipe, dtype="float32"))

    def manifest(self, shards: list[ShardEntry]) -> Manifest:
        """The card of the finished cache."""
        dataset = self.source.dataset
        names = tuple(dataset.class_names)
        entries = tuple(shards)
        return Manifest(self.recipe, dataset.name, names, self.shape, entries, self._extraction())

    def _extraction(self) -> dict[str, Any]:
        return {
            "weights": str(self.options.weights),
            "batch_size": self.options.batch_size,
            "augment": self.source.policy.name,
            "agreement": {"smallest_cosine": self.choice.cosine, "needed": self.choice.least},
            "versions": _versions(),
        }


def prepare_setup(workspace: Workspace, options: ExtractOptions, progress: Progress) -> Setup:
    """Load the dataset, build and compile the network, and try both on a probe batch.

    Raises:
        DatasetMissing: There is no dataset, or it has no images.
        WeightsUnavailable: The backbone's weights cannot be had.
        UsageError: Options that do not fit.
    """
    check_pooling(options.pooling)
    dataset = Dataset.load(workspace, options.dataset)
    source = ImageSource(dataset, options.image_size, options.policy, options.seed)
    started = time.perf_counter()
    records, pixels = _probe(source)
    decode_seconds = (time.perf_counter() - started) / len(records)
    progress.log(f"Building {options.backbone} ({options.weights} weights)")
    backbone = load_backbone(options.backbone, options.weights, options.image_size)
    network = network_of(backbone, options.pooling, options.boundary)
    batch_size = network_batch_size(options.batch_size)
    choice = choose(options.runtime, network, backbone.spec, batch_size, pixels)
    progress.log(f"Runtime: {choice.why}")
    features, seconds = _timed(choice, pixels)
    recipe = _recipe(
        options, source, choice, backbone.weights_digest, backbone.spec.preprocessing.text
    )
    setup = Setup(options, source, choice, recipe, features.shape[1:], seconds + decode_seconds)
    return _fitting(workspace, setup, features, records, progress)


def _probe(source: ImageSource) -> tuple[list[ImageRecord], np.ndarray]:
    """A few images, evenly spaced over the dataset, and their pixels."""
    everything = [record for records in source.records.values() for record in records]
    if not everything:
        raise DatasetMissing(
            f"The dataset {source.dataset.name!r} has no images.", "cars-bench prepare"
        )
    picked = np.linspace(0, len(everything) - 1, min(PROBE_IMAGES, len(everything))).round()
    records = [everything[int(number)] for number in picked]
    return records, np.stack([source.pixels(record, 0) for record in records])


def _timed(choice: Choice, pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Features of the probe, and the seconds an image takes in full batches."""
    features = choice.runner(pixels)
    count = choice.runner.batch_size * choice.runner.in_flight
    many = np.concatenate([pixels] * -(-count // len(pixels)))[:count]
    started = time.perf_counter()
    choice.runner(many)
    return features, (time.perf_counter() - started) / count


def _recipe(
    options: ExtractOptions, source: ImageSource, choice: Choice, weights: str, preprocessing: str
) -> FeatureRecipe:
    return FeatureRecipe(
        dataset_digest=source.dataset.digest,
        crop=source.dataset.crop,
        backbone=options.backbone,
        weights_digest=weights,
        image_size=options.image_size,
        resize=RESIZE_METHOD,
        preprocessing=preprocessing,
        pooling=options.pooling if options.boundary is None else NO_BOUNDARY,
        boundary=options.boundary,
        augment=canonical(source.policy.to_json()),
        augment_seed=options.seed,
        dtype=options.dtype,
        runtime=choice.runner.name,
        precision=choice.runner.precision,
    )


def _fitting(
    workspace: Workspace,
    setup: Setup,
    features: np.ndarray,
    records: list[ImageRecord],
    progress: Progress,
) -> Setup:
    """The setup in float32 if float16 is known, or seen on the probe, not to do."""
    try:
        stored(features, setup.recipe.dtype, [record.image_id for record in records])
    except OutOfRange as problem:
        progress.log(f"Warning: storing float32, because {problem}.")
        return setup.in_float32()
    if (workspace.features / setup.recipe.key / RANGE_FILE).exists():
        progress.log("Warning: storing float32, because an earlier run found float16 too narrow.")
        return setup.in_float32()
    return setup


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
