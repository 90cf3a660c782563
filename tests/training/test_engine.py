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

from tests.training.trainings import LINEAR

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
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


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backends_agree_with_tensorflow_on_a_linear_head(said, backend, name):
    one, other = (of_backend(said, b)["linear"][name] for b in (backend, "tensorflow"))
    assert np.array(one["losses"]) == pytest.approx(np.array(other["losses"]), abs=TOLERANCE)
    assert np.array(one["logits"]) == pytest.approx(np.array(other["logits"]), abs=10 * TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_activations_read_in_chunks_train_as_those_kept_whole(said, backend):
    assert of_backend(said, backend)["chunked"] < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_resumed_training_ends_as_an_uninterrupted_one(said, backend):
    assert of_backend(said, backend)["resumed"] < 1e-5
