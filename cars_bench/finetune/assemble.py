"""The head back on its backbone, of stock Keras layers only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import keras

from cars_bench.backbones.build import Backbone
from cars_bench.backbones.networks import pooled
from cars_bench.training.answers import BOX, PROBABILITIES, has_box
from cars_bench.training.heads import split_head


@dataclass(frozen=True)
class Assembled:
    """A backbone with a head on top; its models share their layers.

    Attributes:
        backbone: The network below.
        pooling: How its feature map becomes one vector.
        head: From pooled features to logits.
    """

    backbone: Backbone
    pooling: str
    head: keras.Model

    def whole(self) -> keras.Model:
        """From pixels float32 `[B, S, S, 3]`, 0 to 255, to logits `[B, C]`.

        It is one and the same model each time, so that Keras traces it once and not at
        every question.  It is not to be compiled: what is trained is a clone of it.
        """
        return self._whole

    def above(self, boundary: str) -> keras.Model:
        """From the activation that ends block `boundary` to logits `[B, C]`."""
        top = self.backbone.top(boundary)
        return keras.Model(top.input, self._logits(top.output), name="top")

    def finished(self, temperature: float = 1.0) -> keras.Model:
        """As `whole`, with probabilities `[B, C]` instead of logits.

        Where the head has a box there are two outputs by name, `probabilities` and `box`
        `[B, 4]`, x1, y1, x2, y2 as shares of the picture's sides.

        Args:
            temperature: What the logits are divided by first.
        """
        network = self.backbone.model
        features = pooled(network.output, self.pooling)
        boxed = has_box(self.head)
        logits, box = split_head(self.head)(features) if boxed else (self.head(features), None)
        if temperature != 1:
            cooled = keras.layers.Rescaling(1 / temperature, dtype="float32", name="temperature")
            logits = cooled(logits)
        probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")
        said = probabilities(logits)
        # The head's own box layer is inside it; this one names the output.
        named = keras.layers.Activation("linear", dtype="float32", name=BOX)
        outputs = {PROBABILITIES: said, BOX: named(box)} if boxed else said
        return keras.Model(network.input, outputs, name="classifier")

    @cached_property
    def _whole(self) -> keras.Model:
        network = self.backbone.model
        return keras.Model(network.input, self._logits(network.output), name="classifier")

    def _logits(self, feature_map: keras.KerasTensor) -> keras.KerasTensor:
        return self.head(pooled(feature_map, self.pooling))
