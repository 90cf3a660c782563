from __future__ import annotations

import numpy as np
import pytest

from cars_bench.backbones.catalogue import spec
from cars_bench.cache import choose as choosing
from cars_bench.cache.choose import choose, least_cosine, smallest_cosine
from cars_bench.cache.runtimes import Runner, load_backbone, make_runner, network_of
from cars_bench.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    return network_of(load_backbone("tiny", "none", 48), "avg", None)


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
        real = choosing.make_runner

        def make(name, network, batch_size, precision):
            if name == "openvino":
                return Fake(network, batch_size, error)
            return real(name, network, batch_size, precision)

        monkeypatch.setattr(choosing, "make_runner", make)
        monkeypatch.setattr(choosing, "installed", lambda name: True)
        monkeypatch.setattr(choosing, "precision_of", lambda name: "float32")

    return install


def test_auto_takes_openvino_if_it_agrees_and_says_why(network, openvino_with_error):
    openvino_with_error(0.0)
    choice = choose("auto", network, spec("tiny"), 4, PIXELS)
    assert (choice.runner.name, choice.cosine) == ("openvino", 1.0)
    assert "agree with TensorFlow" in choice.why


def test_auto_leaves_openvino_if_it_disagrees_and_says_why(network, openvino_with_error):
    openvino_with_error(3.0)
    choice = choose("auto", network, spec("tiny"), 4, PIXELS)
    assert choice.runner.name == "tensorflow"
    assert "disagree" in choice.why


def test_asked_for_openvino_that_disagrees_is_an_error(network, openvino_with_error):
    openvino_with_error(3.0)
    with pytest.raises(UsageError, match="disagree") as caught:
        choose("openvino", network, spec("tiny"), 4, PIXELS)
    assert caught.value.fix == "--runtime tensorflow"


def test_auto_without_openvino_is_tensorflow(network, monkeypatch):
    monkeypatch.setattr(choosing, "installed", lambda name: False)
    choice = choose("auto", network, spec("tiny"), 4, PIXELS)
    assert (choice.runner.name, choice.cosine) == ("tensorflow", None)
    assert "not installed" in choice.why


def test_on_a_gpu_tensorflow_is_the_default(network, monkeypatch):
    monkeypatch.setattr(choosing, "gpu_present", lambda: True)
    monkeypatch.setattr(choosing, "precision_of", lambda name: "mixed_float16")
    choice = choose("auto", network, spec("tiny"), 4, PIXELS)
    assert (choice.runner.name, choice.runner.precision) == ("tensorflow", "mixed_float16")


def test_an_unknown_runtime_lists_the_known(network):
    with pytest.raises(UsageError) as caught:
        choose("onnx", network, spec("tiny"), 4, PIXELS)
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
