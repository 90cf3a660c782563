"""Which backend Keras runs on, where it is loaded and where it is loaded already."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cars_bench import keras_backend
from cars_bench.errors import UsageError
from cars_bench.progress import Progress

CODE = """
import os
from cars_bench.keras_backend import in_force, load_keras
from cars_bench.progress import Progress
assert in_force() is None
print(load_keras(Progress(), "jax", "tensorflow"), in_force(), os.environ.get("KERAS_BACKEND"))
"""


class Told(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def log(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("asked", "said"), [(None, "jax jax None"), ("tensorflow", " ".join(["tensorflow"] * 3))]
)
def test_it_is_loaded_on_the_users_choice_or_the_first_and_the_choice_stays(asked, said):
    pytest.importorskip("jax")
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {"KERAS_BACKEND": asked} if asked else {}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == said


def test_another_backend_that_is_there_already_is_kept_and_said_in_one_sentence(monkeypatch):
    loaded = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", loaded)
    told = Told()
    assert keras_backend.load_keras(told, "tensorflow") == "jax"
    (sentence,) = told.said
    assert "on JAX" in sentence
    assert "KERAS_BACKEND=tensorflow" in sentence
    told.said.clear()
    assert keras_backend.load_keras(told, "tensorflow", "jax") == "jax"
    assert told.said == []


@pytest.mark.parametrize(("users", "found"), [(None, "1"), ("0", "0")])
def test_tensorflow_is_started_with_onednn_unless_the_user_says_otherwise(
    monkeypatch, users, found
):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    if users:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", users)
    keras_backend.set_tensorflow_defaults()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == found


def test_a_backend_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "abacus")
    with pytest.raises(UsageError, match="abacus"):
        keras_backend.wanted("tensorflow")


@pytest.mark.parametrize(
    ("level", "said", "heard"),
    [
        (logging.INFO, "Assets written to: /somewhere", False),
        (logging.WARNING, "5 out of TensorFlowTrainer.f triggered tf.function retracing", False),
        (logging.WARNING, "something that matters", True),
    ],
)
def test_tensorflow_is_heard_where_it_matters(level, said, heard, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    keras_backend.choose_backend(Progress(), "tensorflow")
    logger = logging.getLogger("tensorflow")
    record = logger.makeRecord("tensorflow", level, "file", 1, said, (), None)
    assert bool(logger.filter(record)) is heard
