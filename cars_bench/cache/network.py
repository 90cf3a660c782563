"""A frozen network ready to run: its weights proven, pooled or cut, compiled, and trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np

from cars_bench.backbones.build import Backbone, build_backbone
from cars_bench.backbones.catalogue import BackboneSpec
from cars_bench.backbones.networks import pooled
from cars_bench.cache.decoding import ImageBatch, ImageSource, decoder
from cars_bench.cache.keys import FeatureRecipe
from cars_bench.cache.manifest import Agreement, Manifest
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.runtimes import (
    FULL,
    MIXED,
    RUNTIMES,
    Runner,
    gpu_present,
    installed,
    make_runner,
    network_batch_size,
    precision_of,
)
from cars_bench.errors import CacheStale, UsageError

LEAST_COSINE_FULL = 0.99999
"""What a runtime must reach that computes in float32, as TensorFlow does."""
_UNCOMPARED = Agreement()


@dataclass(frozen=True, kw_only=True)
class Network:
    """Pixels to what is stored.

    Attributes:
        spec: The backbone's row in the catalogue.
        weights_digest: SHA-256 of the backbone's weights.
        runner: The compiled network.
        why: Why it runs on this runtime, in one sentence for a person.
        agreement: With TensorFlow's features on the probe.
    """

    spec: BackboneSpec
    weights_digest: str
    runner: Runner
    why: str
    agreement: Agreement

    def features(
        self, source: ImageSource, batches: Iterable[ImageBatch]
    ) -> Iterator[tuple[ImageBatch, np.ndarray]]:
        """Decode images in threads, ahead of the network, and run it over them in order.

        Yields:
            Each batch with its features, float32 [n, *shape].
        """
        with decoder(source) as threads:
            yield from self.runner.stream(threads.pixels(batches))


def open_network(
    options: ExtractOptions,
    probe: np.ndarray | None = None,
    made: FeatureRecipe | None = None,
) -> Network:
    """Load a backbone, pool it or cut it, and compile it for a runtime that can be trusted.

    `auto` tries the runtimes in a fixed order, so that the same command on the same
    machine finds the same key, and takes the first that agrees with TensorFlow.

    Args:
        options: Backbone, weights, image size, pooling or boundary, runtime, batch size.
        probe: uint8 [n, S, S, 3], some real images to compare the runtimes on.
        made: Recipe of a cache that these options made: the network is compiled as it
            was then, nothing is compared again, and no probe is needed.

    Raises:
        CacheStale: The weights are not those of `made`.
        UsageError: Options that do not fit, or a runtime that is unknown, not installed,
            or disagrees with TensorFlow.
        WeightsUnavailable: The weights cannot be had.
    """
    backbone = load_backbone(options.backbone, options.weights, options.image_size)
    model = network_of(backbone, options.pooling, options.boundary)
    opening = _Opening(backbone, model, options.batch_size)
    if made is not None:
        require_weights(backbone, options.weights, made)
        return opening.as_made(made)
    if probe is None:
        raise ValueError("a runtime is chosen by its features of some images")
    if options.runtime == "auto":
        return opening.first_that_agrees(probe)
    return opening.required(options.runtime, probe)


def backbone_of(manifest: Manifest) -> Backbone:
    """The backbone that a cache was made with, as plain Keras, up to the cache's boundary.

    Raises:
        CacheStale: The weights are other ones now.
        WeightsUnavailable: They cannot be had.
    """
    recipe = manifest.recipe
    weights = manifest.extraction.weights
    backbone = build_backbone(recipe.backbone, weights, recipe.image_size)
    require_weights(backbone, weights, recipe)
    return backbone.up_to(recipe.boundary)


def require_weights(backbone: Backbone, weights: str, recipe: FeatureRecipe) -> None:
    """Refuse weights that a cache was not made with.

    Raises:
        CacheStale: Says which weights of which cache.
    """
    if backbone.weights_digest != recipe.weights_digest:
        raise CacheStale(
            f"The weights {weights} of {recipe.backbone} are not those of the cache {recipe.key}.",
            "put the old weights back, or cars-bench extract and tune again",
        )


def load_backbone(name: str, weights: str, image_size: int) -> Backbone:
    """Build the backbone in the precision this machine extracts with.

    On a GPU that is mixed precision, which must be chosen before the layers are made.
    """
    if not gpu_present():
        return build_backbone(name, weights, image_size)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(MIXED)
    try:
        return build_backbone(name, weights, image_size)
    finally:
        keras.config.set_dtype_policy(before)


def network_of(backbone: Backbone, pooling: str, boundary: str | None) -> keras.Model:
    """Pixels to what is stored: pooled features [B, D], or the activation that ends `boundary`."""
    if boundary is not None:
        return backbone.trunk(boundary)
    return keras.Model(
        backbone.model.input, pooled(backbone.model.output, pooling), name="features"
    )


def smallest_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest cosine between the rows of two batches [n, *shape]; two zero rows agree."""
    x, y = (np.asarray(item, np.float64).reshape(len(item), -1) for item in (a, b))
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    dots = np.einsum("nd,nd->n", x, y)
    same = np.abs(x - y).max(axis=1) == 0
    cosines = np.where(same, 1.0, dots / np.where(lengths > 0, lengths, 1.0))
    return float(cosines.min())


def least_cosine(spec: BackboneSpec, precision: str) -> float:
    """How close to TensorFlow's float32 features another runtime must come."""
    return LEAST_COSINE_FULL if precision == FULL else spec.least_cosine


@dataclass(frozen=True)
class _Opening:
    """A network that is built but not compiled yet.

    Attributes:
        backbone: With its weights.
        model: Pixels to what is stored.
        batch_size: Images of one call, where the machine does not fix them.
    """

    backbone: Backbone
    model: keras.Model
    batch_size: int

    def as_made(self, recipe: FeatureRecipe) -> Network:
        """On the runtime and in the precision that a cache was made with."""
        runner = self._runner(recipe.runtime, recipe.precision)
        return self._network(runner, "the one that the cache was made with")

    def first_that_agrees(self, probe: np.ndarray) -> Network:
        """On the first runtime of the fixed order whose features can be trusted."""
        if gpu_present():
            return self._on_tensorflow("TensorFlow in mixed precision, for the GPU")
        reasons = []
        for runtime in RUNTIMES[: RUNTIMES.index("tensorflow")]:
            if not installed(runtime):
                reasons.append(f"{runtime} is not installed")
                continue
            network = self._compared(runtime, probe)
            if network.agreement.holds:
                return network
            reasons.append(network.why)
        return self._on_tensorflow(f"TensorFlow in {FULL}, because {'; '.join(reasons)}")

    def required(self, runtime: str, probe: np.ndarray) -> Network:
        """On this runtime, which must agree with TensorFlow."""
        if runtime == "tensorflow":
            return self._on_tensorflow(f"TensorFlow in {precision_of(runtime)}, as asked")
        network = self._compared(runtime, probe)
        if not network.agreement.holds:
            raise UsageError(f"{network.why}.", "--runtime tensorflow")
        return network

    def _on_tensorflow(self, why: str) -> Network:
        return self._network(self._runner("tensorflow", precision_of("tensorflow")), why)

    def _compared(self, runtime: str, probe: np.ndarray) -> Network:
        precision = precision_of(runtime)
        runner = self._runner(runtime, precision)
        reference = self._runner("tensorflow", precision_of("tensorflow"))
        cosine = smallest_cosine(runner(probe), reference(probe))
        least = least_cosine(self.backbone.spec, precision)
        verb = "agree" if cosine >= least else "disagree"
        why = (
            f"{runtime} in {precision}: its features {verb} with TensorFlow's on {len(probe)} "
            f"images (smallest cosine {cosine:.6f}, {least:g} needed)"
        )
        return self._network(runner, why, Agreement(round(cosine, 5), least))

    def _runner(self, runtime: str, precision: str) -> Runner:
        batch_size = network_batch_size(self.batch_size)
        return make_runner(runtime, self.model, batch_size, precision)

    def _network(self, runner: Runner, why: str, agreement: Agreement = _UNCOMPARED) -> Network:
        return Network(
            spec=self.backbone.spec,
            weights_digest=self.backbone.weights_digest,
            runner=runner,
            why=why,
            agreement=agreement,
        )
