"""From a feature map to one vector an image."""

from __future__ import annotations

from typing import Any

import keras

from cars_bench.backbones.catalogue import BackboneSpec
from cars_bench.errors import UsageError

POOLINGS = ("avg", "max", "avgmax")


def pooled(feature_map: Any, pooling: str) -> Any:
    """Pool a feature map over its positions.

    Args:
        feature_map: [B, h, w, C], symbolic or an array.
        pooling: `avg`, `max`, or `avgmax` (both, average first).

    Returns:
        [B, C], or [B, 2 C] for `avgmax`.

    Raises:
        UsageError: Unknown pooling.
    """
    check_pooling(pooling)
    parts = {
        "avg": keras.layers.GlobalAveragePooling2D,
        "max": keras.layers.GlobalMaxPooling2D,
    }
    if pooling != "avgmax":
        return parts[pooling](name=f"pool_{pooling}")(feature_map)
    both = [part(name=f"pool_{name}")(feature_map) for name, part in parts.items()]
    return keras.layers.Concatenate(name="pool_avgmax")(both)


def pooled_width(spec: BackboneSpec, pooling: str) -> int:
    """Length of the vector that `pooled` gives for this backbone."""
    check_pooling(pooling)
    return spec.width * (2 if pooling == "avgmax" else 1)


def check_pooling(pooling: str) -> None:
    """Raise UsageError unless `pooling` is one of `POOLINGS`."""
    if pooling not in POOLINGS:
        raise UsageError(
            f"There is no pooling called {pooling!r}.", f"choose one of: {', '.join(POOLINGS)}"
        )
