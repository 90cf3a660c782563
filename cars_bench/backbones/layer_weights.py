"""Weights on their way from a file into a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LayerWeights:
    """The arrays of one layer, in the order of Keras' `layer.weights`."""

    layer: str
    arrays: tuple[np.ndarray, ...]
