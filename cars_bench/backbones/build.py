"""From a name to a network with its weights, and to its lower and upper part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import keras

from cars_bench.backbones import catalogue
from cars_bench.backbones.blocks import BlockMap
from cars_bench.backbones.catalogue import SMALLEST_IMAGE, BackboneSpec
from cars_bench.backbones.networks import build_network
from cars_bench.backbones.weight_files import read_weights
from cars_bench.backbones.weights import (
    assign,
    find_weights,
    randomise,
    weights_digest,
)
from cars_bench.errors import UsageError


@dataclass(frozen=True)
class Backbone:
    """A network with its weights.

    Attributes:
        spec: Row of the catalogue.
        model: float32 pixels 0..255 RGB [B, S, S, 3] to the last feature map
            [B, h, w, width], preprocessing inside, stock Keras only.
        weights_digest: SHA-256 over all weights, hexadecimal.
        image_size: S, in pixels.
    """

    spec: BackboneSpec
    model: keras.Model
    weights_digest: str
    image_size: int

    def up_to(self, boundary: str | None) -> Backbone:
        """The part that ends with block `boundary`, on the same layers; `None` is all of it."""
        return self if boundary is None else replace(self, model=self.trunk(boundary))

    @cached_property
    def blocks(self) -> BlockMap:
        """The network's blocks, from the stem to the last feature map."""
        return BlockMap.of(self.spec, [layer.name for layer in self.model.layers])

    def boundary_layer(self, block: str) -> str:
        """Name of the layer whose output ends `block` (a stage or a block inside one)."""
        return self.blocks.blocks[self.blocks.last(block)].layers[-1]

    def boundary_below(self, block: str) -> str:
        """The block that ends where `block` begins.

        Raises:
            UsageError: `block` is unknown or is the stem.
        """
        return self.blocks.below(block)

    def boundary_shape(self, block: str, pixels: int | None = None) -> tuple[int, int, int]:
        """Height, width and channels of the activation that ends `block`.

        Args:
            block: A stage or a block inside one.
            pixels: Side of the images, where it is not `image_size`.
        """
        trunk = self.trunk(block)
        if pixels is not None:
            images = keras.Input((pixels, pixels, 3))
            trunk = keras.models.clone_model(trunk, images, clone_function=lambda layer: layer)
        _, height, width, channels = trunk.output.shape
        return height, width, channels

    def trunk(self, block: str) -> keras.Model:
        """The part up to the end of `block`: pixels [B, S, S, 3] to activation [B, h, w, c].

        Shares its layers with `model`.
        """
        return keras.Model(self.model.input, self._boundary(block), name="trunk")

    def top(self, block: str) -> keras.Model:
        """The part after the end of `block`: activation [B, h, w, c] to the last feature map.

        Shares its layers with `model`; after the last block it is the identity.
        """
        boundary = self._boundary(block)
        if boundary is self.model.output:
            inputs = keras.Input(boundary.shape[1:])
            return keras.Model(inputs, keras.layers.Identity()(inputs), name="top")
        return keras.Model(boundary, self.model.output, name="top")

    def _boundary(self, block: str) -> keras.KerasTensor:
        return self.model.get_layer(self.boundary_layer(block)).output


def build_backbone(name: str, weights: str = "imagenet", image_size: int = 224) -> Backbone:
    """Build a backbone of the catalogue with its weights, ready to extract or fine-tune.

    Args:
        name: Its name in the catalogue.
        weights: `imagenet`; `none` for random ones, the same every time; or the
            path of a weights file without the classifier.
        image_size: Side of the square input in pixels, at least 32.

    Raises:
        UsageError: Unknown name, or an image too small.
        WeightsUnavailable: The weights cannot be had or do not fit.
    """
    spec = catalogue.spec(name)
    if image_size < SMALLEST_IMAGE:
        raise UsageError(
            f"An image of {image_size} pixels is too small for {name}.",
            f"use --image-size {SMALLEST_IMAGE} or more",
        )
    path = find_weights(spec, str(weights))
    model = build_network(spec, image_size)
    if path is None:
        randomise(model, spec.random_gain)
    else:
        assign(model, read_weights(path, model), str(path))
    return Backbone(spec, model, weights_digest(model), image_size)
