"""`cars-bench tune`: what it refuses before it trains, and what it says of its winner."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from cars_bench.cache.extract import extract
from cars_bench.cache.options import ExtractOptions
from cars_bench.cache.testing import MadeUpCache, batch_of_dataset
from cars_bench.cli.session import Session
from cars_bench.cli.tune import choose_backend, tune
from cars_bench.data.prepare import PrepareOptions, prepare
from cars_bench.progress import Progress
from tests.pipeline import copied
from tests.tuning.studies import make_cache, write_study


@pytest.fixture
def cached(workspace, tiny_dataset, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    make_cache(workspace, tiny_dataset)
    return workspace


def refused(workspace, capsys, **options) -> tuple[int, dict]:
    session = Session(workspace, json_output=True, quiet=True)
    code = session.run(lambda: tune(session, **options))
    return code, json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"space": "nowhere.yaml"}, "nowhere.yaml"),
        ({"oracle": "crystal"}, "crystal"),
        ({"refit": "test"}, "test"),
    ],
)
def test_options_that_cannot_be_are_refused_with_two(cached, capsys, options, word):
    code, error = refused(cached, capsys, **options)
    assert (code, error["code"]) == (2, 2)
    assert word in error["message"]
    assert not list(cached.studies.glob("*/ledger.jsonl"))


def test_an_impossible_range_is_refused_by_line_and_field(cached, capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("hyperparameters:\n  dropout: {type: float, min: 0.5, max: 0.1}\n")
    code, error = refused(cached, capsys, space=str(path))
    assert code == 2
    assert "line 2: dropout" in error["message"]


def test_without_a_cache_it_says_how_to_make_one(workspace, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    code, error = refused(workspace, capsys)
    assert code == 3
    assert "cars-bench extract" in error["fix"]


@pytest.mark.parametrize(
    ("shape", "preferred", "warned"),
    [((12,), ("jax", "tensorflow"), False), ((4, 4, 3), ("tensorflow",), True)],
)
def test_maps_are_searched_on_tensorflow_and_jax_by_force_is_told_what_it_costs(
    workspace, tiny_dataset, monkeypatch, capsys, shape, preferred, warned
):
    asked = []
    monkeypatch.setattr(
        Session, "choose_backend", lambda session, *names: asked.extend(names) or "jax"
    )
    made_up = MadeUpCache.of(tiny_dataset, shape)
    made_up.write(
        workspace,
        batch_of_dataset(
            tiny_dataset, lambda labels, shard: np.zeros((len(labels), *shape), np.float16)
        ),
    )
    choose_backend(Session(workspace), None)
    assert tuple(asked) == preferred
    assert ("compiles convolutions for minutes" in capsys.readouterr().err) == warned


def test_the_first_search_says_what_would_make_it_faster(workspace, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "jax" else found(name)
    )
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(Session, "choose_backend", lambda *names: "tensorflow")
    session = Session(workspace)
    assert session.run(lambda: tune(session)) == 3
    assert "Tip: JAX makes the search" in capsys.readouterr().err
    write_study(workspace.studies / "mine")
    assert session.run(lambda: tune(session)) == 3
    assert "Tip" not in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["wandb", "mlflow:localhost:5000", "mlflow:http://"])
def test_a_tracker_that_cannot_be_is_refused_before_a_study_is_begun(cached, capsys, asked):
    if asked != "wandb":
        pytest.importorskip("mlflow")
    code, error = refused(cached, capsys, track=asked)
    assert (code, error["code"]) == (2, 2)
    assert not cached.studies.exists()


def printed_by_tune(workspace, capsys, monkeypatch, space: str) -> str:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    path = workspace.root / "space.yaml"
    path.write_text(space)
    session = Session(workspace, quiet=True)
    assert session.run(lambda: tune(session, space=str(path), study="mine", workers=1)) == 0
    return capsys.readouterr().out


def test_a_winner_with_a_box_is_said_with_its_overlap_on_validation(
    tuned_once, tmp_path, capsys, monkeypatch
):
    workspace = copied(tuned_once, tmp_path / "boxed")
    space = "head: {box: true}\ntraining: {epochs: 1}\n"
    said = printed_by_tune(workspace, capsys, monkeypatch, space)
    assert "its boxes on validation: mean IoU 0." in said
    assert "of 12 images" in said


def test_after_networks_from_scratch_it_says_that_nothing_more_is_trained(
    tiny_source, workspace, capsys, monkeypatch
):
    prepare(workspace, PrepareOptions(source=tiny_source, name="tiny"), Progress())
    extract(workspace, ExtractOptions(backbone="pixels", image_size=32), Progress())
    space = "head: {stages: [{filters: 2}]}\ntraining: {epochs: 1}\n"
    said = printed_by_tune(workspace, capsys, monkeypatch, space)
    assert "trains nothing more" in said
