"""Pooling a feature map into a vector."""

from __future__ import annotations

import numpy as np
import pytest

from cars_bench.backbones.catalogue import spec
from cars_bench.backbones.pooling import pooled, pooled_width
from cars_bench.errors import UsageError

FEATURES = np.random.default_rng(3).normal(size=(2, 3, 4, 16)).astype("float32")
MEAN, MAXIMUM = FEATURES.mean((1, 2)), FEATURES.max((1, 2))


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("avg", MEAN), ("max", MAXIMUM), ("avgmax", np.concatenate([MEAN, MAXIMUM], 1))],
)
def test_pooling_is_over_positions(pooling, expected):
    found = np.asarray(pooled(FEATURES, pooling))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.shape[1] == pooled_width(spec("tiny"), pooling)


def test_unknown_pooling_is_a_usage_error():
    with pytest.raises(UsageError, match="median"):
        pooled_width(spec("tiny"), "median")
