from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cars_bench.backbones.catalogue import spec
from cars_bench.cache import network as opening
from cars_bench.cache.network import least_cosine, open_network, smallest_cosine
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.runtimes import Runner, make_runner
from cars_bench.errors import CacheStale, UsageError
from tests.cache.helpers import RECIPE

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 48, 48, 3), dtype=np.uint8)


def opened(runtime):
    options = ExtractOptions(backbone="tiny", weights="none", image_size=48, runtime=runtime)
    return open_network(options, PIXELS)


class Fake(Runner):
    """TensorFlow's features with an error."""

    name = "openvino"

    def __init__(self, network, batch_size, error):
        super().__init__("float32", batch_size)
        self.inner = make_runner("tensorflow", network, batch_size, "float32")
        self.error = error

    def _start(self, pixels):
        features = self.inner(pixels).copy()
        features[:, 0] += self.error
        return lambda: features


@pytest.fixture
def openvino_with_error(monkeypatch):
    def install(error: float) -> None:
        real = opening.make_runner

        def make(name, model, batch_size, precision):
            if name == "openvino":
                return Fake(model, batch_size, error)
            return real(name, model, batch_size, precision)

        monkeypatch.setattr(opening, "make_runner", make)
        monkeypatch.setattr(opening, "installed", lambda name: True)
        monkeypatch.setattr(opening, "precision_of", lambda name: "float32")

    return install


def test_auto_takes_openvino_if_it_agrees_and_says_why(openvino_with_error):
    openvino_with_error(0.0)
    network = opened("auto")
    assert (network.runner.name, network.agreement.smallest_cosine) == ("openvino", 1.0)
    assert "agree with TensorFlow" in network.why


def test_auto_leaves_openvino_if_it_disagrees_and_says_why(openvino_with_error):
    openvino_with_error(3.0)
    network = opened("auto")
    assert network.runner.name == "tensorflow"
    assert "disagree" in network.why


def test_asked_for_openvino_that_disagrees_is_an_error(openvino_with_error):
    openvino_with_error(3.0)
    with pytest.raises(UsageError, match="disagree") as caught:
        opened("openvino")
    assert caught.value.fix == "--runtime tensorflow"


def test_auto_without_openvino_is_tensorflow(monkeypatch):
    monkeypatch.setattr(opening, "installed", lambda name: False)
    network = opened("auto")
    assert (network.runner.name, network.agreement.smallest_cosine) == ("tensorflow", None)
    assert "not installed" in network.why


def test_on_a_gpu_tensorflow_is_the_default(monkeypatch):
    monkeypatch.setattr(opening, "gpu_present", lambda: True)
    monkeypatch.setattr(opening, "precision_of", lambda name: "mixed_float16")
    network = opened("auto")
    assert (network.runner.name, network.runner.precision) == ("tensorflow", "mixed_float16")


def test_an_unknown_runtime_lists_the_known():
    with pytest.raises(UsageError) as caught:
        opened("onnx")
    assert "openvino" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "precision", "least"),
    [
        ("resnet50", "float32", 0.99999),
        ("efficientnet-lite0", "float32", 0.99999),
        ("resnet101", "bfloat16", 0.999),
        ("efficientnet-lite0", "bfloat16", 0.99),
    ],
)
def test_how_close_a_runtime_must_come(name, precision, least):
    assert least_cosine(spec(name), precision) == least


def test_the_cosine_is_that_of_the_worst_record():
    a, b = np.eye(2, 3), np.array([[1, 0, 0], [0, 1, 1]])
    assert smallest_cosine(a, b) == pytest.approx(0.5**0.5)
    assert smallest_cosine(np.zeros((1, 3)), np.zeros((1, 3))) == 1
    assert smallest_cosine(np.zeros((1, 3)), np.ones((1, 3))) == 0


def test_a_cache_is_recomputed_on_its_own_runtime_without_a_probe():
    options = ExtractOptions(backbone="tiny", weights="none", image_size=48)
    digest = opened("tensorflow").weights_digest
    made = replace(RECIPE, weights_digest=digest, runtime="tensorflow")
    network = open_network(options, made=made)
    assert (network.runner.name, network.runner.precision) == ("tensorflow", "float32")
    np.testing.assert_array_equal(network.runner(PIXELS), opened("tensorflow").runner(PIXELS))


def test_other_weights_than_the_cache_was_made_with_are_refused():
    options = ExtractOptions(backbone="tiny", weights="none", image_size=48)
    with pytest.raises(CacheStale, match=f"weights none of tiny .* {RECIPE.key}"):
        open_network(options, made=RECIPE)


def test_a_boundary_is_cut_and_pooled_features_are_pooled():
    options = ExtractOptions(backbone="tiny", weights="none", image_size=48, runtime="tensorflow")
    assert open_network(options, PIXELS).runner(PIXELS).shape == (7, 16)
    cut = replace(options, boundary="block2")
    assert open_network(cut, PIXELS).runner(PIXELS).shape == (7, 12, 12, 12)
