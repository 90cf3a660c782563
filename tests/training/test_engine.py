"""The three backends train alike, and chunks and pauses change nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cars_bench.training.engine import Examples, joined
from tests.training.trainings import LINEAR

ROOT = Path(__file__).parents[2]
BACKENDS = ("jax", "tensorflow", "torch")
# Losses after four epochs; the backends add in another order.
TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def said():
    """What each installed backend prints, one process each, at the same time."""
    running = {}
    for backend in BACKENDS:
        if importlib.util.find_spec(backend):
            environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
            running[backend] = subprocess.Popen(
                [sys.executable, "-m", "tests.training.trainings"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
    documents = {}
    for backend, process in running.items():
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, backend
        documents[backend] = json.loads(printed.splitlines()[-1])
    return documents


def of_backend(said, backend):
    if backend not in said:
        pytest.skip(f"{backend} is not installed")
    return said[backend]


@pytest.mark.slow
@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backends_agree_with_tensorflow_on_a_linear_head(said, backend, name):
    one, other = (of_backend(said, b)["linear"][name] for b in (backend, "tensorflow"))
    assert np.array(one["losses"]) == pytest.approx(np.array(other["losses"]), abs=TOLERANCE)
    assert np.array(one["logits"]) == pytest.approx(np.array(other["logits"]), abs=10 * TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_activations_read_in_chunks_train_as_those_kept_whole(said, backend):
    assert of_backend(said, backend)["chunked"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_resumed_training_ends_as_an_uninterrupted_one(said, backend):
    assert of_backend(said, backend)["resumed"] < 1e-5


def test_a_batch_may_hold_images_of_one_split_alone():
    first = np.arange(12.0).reshape(3, 2, 2)
    both = joined(Examples(first, np.arange(3)), Examples(-first[:2, :1], np.arange(2)))
    assert both.x.shape == (5, 2, 2)
    assert list(both.labels) == [0, 1, 2, 0, 1]
    for images in ([0, 1], [3, 4], [2, 3]):
        index = np.array(images)
        expected = [first[i, 1] if i < 3 else -first[i - 3, 0] for i in images]
        np.testing.assert_array_equal(both.x[index, np.ones_like(index)], expected)


class Uninterested:
    """Activations that cannot be read for no image at all, like live ones."""

    shape = (4, 1, 2)
    dtype = np.dtype(np.float32)

    def __getitem__(self, index: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return np.stack([np.full(2, image, np.float32) for image in index[0]])


def test_a_split_without_an_image_in_the_batch_is_not_asked():
    half = Examples(Uninterested(), np.zeros(4, np.int64))
    both = joined(half, half).x
    nought = np.zeros(2, int)
    np.testing.assert_array_equal(both[np.array([0, 3]), nought], [[0, 0], [3, 3]])
    np.testing.assert_array_equal(both[np.array([4, 7]), nought], [[0, 0], [3, 3]])
