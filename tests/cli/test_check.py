"""`cars-bench check`: each line says expected and seen, and a failed one is an error."""

from __future__ import annotations

import json

import pytest

from cars_bench.cli.check import check
from cars_bench.cli.session import Session
from cars_bench.tuning import sanity
from cars_bench.tuning.sanity import Check


@pytest.fixture
def said(workspace, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")

    def said(*checks: Check, json_output: bool = False) -> tuple[int, str]:
        monkeypatch.setattr(sanity, "run_checks", lambda workspace, cache: list(checks))
        session = Session(workspace, json_output, quiet=True)
        code = session.run(lambda: check(session))
        return code, capsys.readouterr().out

    return said


def test_what_held_is_told(said):
    good = Check("features", True, "all finite", "all finite")
    assert said(good) == (
        0,
        "ok   features                   expected all finite; saw all finite\n",
    )
    code, printed = said(good, json_output=True)
    assert (code, json.loads(printed)["checks"][0]["passed"]) == (0, True)


def test_what_did_not_hold_is_an_error_that_names_it(said):
    bad = Check("untrained loss", False, "1.3863 within 5%", "9.0")
    code, printed = said(bad, Check("features", True, "a", "b"), json_output=True)
    error = json.loads(printed)["error"]
    assert (code, error["message"]) == (1, "1 of 2 checks failed: untrained loss.")
