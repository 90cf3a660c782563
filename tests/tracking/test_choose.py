"""`--track`: what is refused, and with which word, before anything is spent."""

from __future__ import annotations

import importlib.util

import pytest

from cars_bench.errors import InputError, UsageError
from cars_bench.tracking.choose import open_tracker, without_credentials

CLIENT = pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="needs mlflow")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("wandb", "wandb"),
        ("", "There is no tracker"),
        pytest.param("mlflow:localhost:5000", "localhost:5000", marks=CLIENT),
        pytest.param("mlflow:http://", "http://", marks=CLIENT),
        pytest.param("mlflow:http://host:99999", "no address", marks=CLIENT),
        pytest.param("mlflow:ftp://host", "ftp://host", marks=CLIENT),
    ],
)
def test_what_is_no_tracker_is_refused_with_the_forms(workspace, asked, word):
    with pytest.raises(UsageError, match=word) as refused:
        open_tracker(asked, workspace)
    assert "--track" in refused.value.fix


@pytest.mark.parametrize(
    ("absent", "asked", "fix"),
    [
        ("mlflow", "mlflow:http://host:5000", "pip install 'cars-bench[mlflow]'"),
        pytest.param("alembic", "mlflow:here", "pip install mlflow", marks=CLIENT),
    ],
)
def test_a_missing_package_is_said_with_the_line_for_pip(
    workspace, monkeypatch, absent, asked, fix
):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == absent else found(name)
    )
    with pytest.raises(InputError) as refused:
        open_tracker(asked, workspace)
    assert (refused.value.code, refused.value.fix) == (3, fix)


@CLIENT
def test_credentials_are_not_shown(workspace, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:s3cret@example.org/ml")
    tracker = open_tracker("mlflow", workspace)
    assert tracker.shown == "MLflow at https://example.org/ml"
    with pytest.raises(UsageError) as refused:
        open_tracker("mlflow:ftp://me:s3cret@host", workspace)
    assert "s3cret" not in refused.value.message
    assert without_credentials("at http://a:b@c/d failed") == "at http://c/d failed"


def test_tensorboard_has_a_folder_among_what_people_read(workspace):
    assert str(workspace.reports / "tensorboard") in open_tracker("tensorboard", workspace).shown
