"""Runners give the same features whatever the batches and however many are on their way."""

from __future__ import annotations

import numpy as np
import pytest

from cars_bench.cache.network import load_backbone, network_of
from cars_bench.cache.runtimes import make_runner

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 48, 48, 3), dtype=np.uint8)
RUNTIMES = pytest.mark.parametrize("runtime", ["tensorflow", "openvino"])


@pytest.fixture(scope="module")
def network():
    return network_of(load_backbone("tiny", "none", 48), "avg", None)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 16])
@RUNTIMES
def test_the_batch_size_does_not_change_a_record(network, runtime, batch_size):
    pytest.importorskip(runtime)
    whole = make_runner("tensorflow", network, 7, "float32")(PIXELS)
    got = make_runner(runtime, network, batch_size, "float32")(PIXELS)
    np.testing.assert_allclose(got, whole, atol=1e-3)


@RUNTIMES
def test_a_stream_keeps_the_order_and_what_came_with_each_batch(network, runtime):
    pytest.importorskip(runtime)
    runner = make_runner(runtime, network, 2, "float32")
    sizes = [1, 2, 5, 2, 3, 1, 2, 4, 2]
    batches = [(f"batch {n}", PIXELS[n % 3 :][:size]) for n, size in enumerate(sizes)]
    got = list(runner.stream(iter(batches)))
    assert [name for name, _ in got] == [name for name, _ in batches]
    for (_, pixels), (_, features) in zip(batches, got, strict=True):
        np.testing.assert_allclose(features, runner(pixels), atol=1e-5)


@RUNTIMES
def test_a_runner_goes_on_after_a_stream_that_broke_off(network, runtime):
    pytest.importorskip(runtime)
    runner = make_runner(runtime, network, 2, "float32")
    whole = runner(PIXELS)

    def breaks():
        for number in range(3):
            yield number, PIXELS[:2]
        raise OSError("the disk is gone")

    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            list(runner.stream(breaks()))
        stream = runner.stream((number, PIXELS[:2]) for number in range(9))
        next(stream)
        stream.close()
    np.testing.assert_array_equal(runner(PIXELS), whole)
