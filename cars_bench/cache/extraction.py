"""An extraction ready to run: images, network, what is stored, its key; any record of it again."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cars_bench.cache.decoding import ImageBatch, ImageSource, image_batches, source_of
from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import Manifest, Provenance
from cars_bench.cache.network import Network, open_network
from cars_bench.cache.options import NO_BOUNDARY, ExtractOptions
from cars_bench.cache.runtimes import Runner
from cars_bench.cache.shards import Batch, PlannedShard, ShardEntry, planned_shards
from cars_bench.cache.store import FeatureCache
from cars_bench.checksums import canonical
from cars_bench.data.dataset import Dataset, ImageRecord, evenly
from cars_bench.data.images import RESIZE_METHOD
from cars_bench.errors import CarsBenchError, DatasetMissing, InputError
from cars_bench.progress import Progress
from cars_bench.workspace import Workspace

PROBE_IMAGES = 16
RANGE_FILE = "out-of-range.json"
"""Marks a float16 key whose features turned out not to fit; the float32 key is used instead."""
MOST_RELATIVE_ERROR = 1e-2
"""Of a whole feature; float16 itself costs about 3e-4."""
_PACKAGES = ("cars-bench", "tensorflow", "keras", "openvino", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """A network that is ready to run over a dataset.

    Attributes:
        options: What was asked for.
        source: The images.
        network: The compiled network.
        recipe: What the key covers.
        shape: Of one feature.
        seconds_per_image: Measured on the probe, decoding included.
    """

    options: ExtractOptions
    source: ImageSource
    network: Network
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
        call = self.network.runner.batch_size
        return -(-self.options.batch_size // call) * call

    def shards(self, views: int) -> list[PlannedShard]:
        """The shards of a cache with so many views."""
        return planned_shards(self.source.counts, views, self.feature_bytes)

    def records(self, shard: PlannedShard) -> list[ImageRecord]:
        """The images of one shard."""
        return self.source.records[shard.split][shard.start : shard.stop]

    def batches(self, shards: Iterable[PlannedShard]) -> Iterator[Batch]:
        """What is stored in some shards; a batch never crosses a shard's end.

        Raises:
            OutOfRange: A feature does not survive in float16.
            InputError: An image is gone or changed.
        """
        for images, features in self.network.features(self.source, self._images(shards)):
            names = images.image_ids
            labels = np.array([record.label for record in images.records], np.int64)
            yield Batch(names, labels, images.view, stored(features, self.recipe.dtype, names))

    def _images(self, shards: Iterable[PlannedShard]) -> Iterator[ImageBatch]:
        for shard in shards:
            yield from image_batches(self.records(shard), shard.view, self.batch_size)

    def in_float32(self) -> Extraction:
        """The same, stored in float32."""
        return replace(self, recipe=replace(self.recipe, dtype="float32"))

    def manifest(self, shards: list[ShardEntry]) -> Manifest:
        """The card of the finished cache."""
        dataset = self.source.dataset
        return Manifest(
            recipe=self.recipe,
            dataset=dataset.name,
            class_names=tuple(dataset.class_names),
            shape=self.shape,
            extraction=Provenance(
                weights=str(self.options.weights),
                batch_size=self.options.batch_size,
                augment=self.source.policy.name,
                agreement=self.network.agreement,
                versions=_versions(),
            ),
            shards=tuple(shards),
        )


def prepare_extraction(
    workspace: Workspace, options: ExtractOptions, progress: Progress
) -> Extraction:
    """Load the dataset, open the network, and try both on a few images.

    Raises:
        DatasetMissing: There is no dataset, or it has no images.
        WeightsUnavailable: The backbone's weights cannot be had.
        UsageError: Options that do not fit.
    """
    source = ImageSource(
        dataset=Dataset.load(workspace, options.dataset),
        image_size=options.image_size,
        policy=options.policy,
        seed=options.seed,
    )
    probe = _probe(source)
    progress.log(f"Building {options.backbone} ({options.weights} weights)")
    network = open_network(options, probe.pixels)
    progress.log(f"Runtime: {network.why}")
    features = network.runner(probe.pixels)
    extraction = Extraction(
        options=options,
        source=source,
        network=network,
        recipe=_recipe(options, source, network),
        shape=features.shape[1:],
        seconds_per_image=probe.seconds_per_image + _seconds_per_image(network.runner, probe),
    )
    doubt = _float16_doubt(workspace, extraction, features, probe)
    if not doubt:
        return extraction
    progress.log(f"Warning: storing float32, because {doubt}.")
    return extraction.in_float32()


class OutOfRange(Exception):
    """A feature does not survive in float16.

    Attributes:
        image_id: Of the first such feature; the text says why.
    """

    def __init__(self, image_id: str, reason: str) -> None:
        super().__init__(reason)
        self.image_id = image_id


def stored(features: np.ndarray, dtype: str, image_ids: list[str]) -> np.ndarray:
    """Convert float32 features [n, *shape] to the dtype they are stored in.

    Raises:
        OutOfRange: float16 would overflow, or flush values that matter to zero.
        CarsBenchError: The network itself gave NaN or infinity.
    """
    flat = features.reshape(len(features), -1)
    finite = np.isfinite(flat).all(axis=1)
    if not finite.all():
        name = image_ids[int(np.argmin(finite))]
        raise CarsBenchError(
            f"The backbone gave NaN or infinity for {name}.",
            "check --weights, or --runtime tensorflow",
        )
    if dtype == "float32":
        return features.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):
        small = features.astype(np.float16)
    _require_close(flat, small.reshape(flat.shape), image_ids)
    return small


@dataclass(frozen=True)
class _Probe:
    """A few images, evenly spaced over the dataset.

    Attributes:
        image_ids: Their names.
        pixels: uint8 [n, S, S, 3].
        seconds_per_image: That decoding took, without threads.
    """

    image_ids: list[str]
    pixels: np.ndarray
    seconds_per_image: float


def _probe(source: ImageSource) -> _Probe:
    everything = [record for records in source.records.values() for record in records]
    if not everything:
        raise DatasetMissing(
            f"The dataset {source.dataset.name!r} has no images.", "cars-bench prepare"
        )
    records = evenly(everything, PROBE_IMAGES)
    started = time.perf_counter()
    pixels = np.stack([source.pixels(record, 0) for record in records])
    seconds = time.perf_counter() - started
    return _Probe([record.image_id for record in records], pixels, seconds / len(records))


def _seconds_per_image(runner: Runner, probe: _Probe) -> float:
    """What the network takes in full batches."""
    count = runner.batch_size * runner.in_flight
    many = np.concatenate([probe.pixels] * -(-count // len(probe.pixels)))[:count]
    started = time.perf_counter()
    runner(many)
    return (time.perf_counter() - started) / count


def _recipe(options: ExtractOptions, source: ImageSource, network: Network) -> FeatureRecipe:
    return FeatureRecipe(
        dataset_digest=source.dataset.digest,
        crop=source.dataset.crop,
        backbone=options.backbone,
        weights_digest=network.weights_digest,
        image_size=options.image_size,
        resize=RESIZE_METHOD,
        preprocessing=network.spec.preprocessing.text,
        pooling=options.pooling if options.boundary is None else NO_BOUNDARY,
        boundary=options.boundary,
        augment=canonical(source.policy.to_json()),
        augment_seed=options.seed,
        dtype=options.dtype,
        runtime=network.runner.name,
        precision=network.runner.precision,
    )


def _float16_doubt(
    workspace: Workspace, extraction: Extraction, features: np.ndarray, probe: _Probe
) -> str:
    """Why float16 is known, or seen on the probe, not to do; empty where it does."""
    try:
        stored(features, extraction.recipe.dtype, probe.image_ids)
    except OutOfRange as problem:
        return str(problem)
    if (workspace.features / extraction.recipe.key / RANGE_FILE).exists():
        return "an earlier run found float16 too narrow"
    return ""


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _require_close(exact: np.ndarray, small: np.ndarray, image_ids: list[str]) -> None:
    overflowed = ~np.isfinite(small).all(axis=1)
    if overflowed.any():
        number = int(np.argmax(overflowed))
        raise OutOfRange(
            image_ids[number], f"{np.abs(exact[number]).max():.6g} does not fit into float16"
        )
    error = np.linalg.norm(exact - small.astype(np.float32), axis=1)
    lost = error > MOST_RELATIVE_ERROR * np.linalg.norm(exact, axis=1)
    if lost.any():
        number = int(np.argmax(lost))
        largest = np.abs(exact[number]).max()
        raise OutOfRange(image_ids[number], f"values up to {largest:.3g} are too small for float16")


def recompute(
    cache: FeatureCache, dataset: Dataset, image_ids: Sequence[str], view: int = 0
) -> np.ndarray:
    """Compute features of some images again from their files, in any order.

    Args:
        cache: Says how: backbone, weights, runtime, precision, policy, dtype.
        dataset: Has the images.
        image_ids: Which images, of any split.
        view: Which view; 0 is the plain image.

    Returns:
        [n, *shape] of the cache's dtype.

    Raises:
        CacheStale: The weights or the resize method are no longer the ones of the recipe.
        InputError: An image is unknown, gone or changed.
    """
    source = source_of(cache.recipe, dataset)
    network = open_network(ExtractOptions.of(cache.manifest.origin), made=cache.recipe)
    known = {item.image_id: item for items in source.records.values() for item in items}
    missing = [name for name in image_ids if name not in known]
    if missing:
        raise InputError(
            f"{missing[0]} is not in the dataset {dataset.name!r}.", "cars-bench prepare"
        )
    records = [known[name] for name in image_ids]
    batches = image_batches(records, view, network.runner.batch_size)
    out = np.empty((len(image_ids), *cache.manifest.shape), cache.manifest.dtype)
    start = 0
    for batch, features in network.features(source, batches):
        stop = start + len(batch.records)
        out[start:stop] = stored(features, cache.recipe.dtype, batch.image_ids)
        start = stop
    return out
