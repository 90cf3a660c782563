"""Mixed precision: layers compute in bfloat16 while their variables stay float32.

See Micikevicius et al. 2018; bfloat16 has float32's range, so that no loss
scaling is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from cars_bench.training.heads import HEAD

MIXED = "mixed_bfloat16"


@contextmanager
def mixed_precision(model: keras.Model, wanted: bool) -> Iterator[None]:
    """Have all layers of `model` but its head compute in bfloat16 while the body runs.

    Logits and loss stay float32, and afterwards every layer is as it was, so
    the finished model is a float32 one.
    """
    layers = [layer for layer in model.layers if wanted and layer.name != HEAD]
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = MIXED
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
