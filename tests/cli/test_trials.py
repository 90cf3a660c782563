"""`cars-bench trials`: rows, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from cars_bench.cli.session import Session
from cars_bench.cli.trials import trials
from cars_bench.tuning.ledger import Ledger
from tests.tuning.studies import fail_trial, write_study, write_trial


@pytest.fixture
def studied(workspace):
    study = write_study(workspace.studies / "mine")
    workspace.remember("study", name="mine")
    right = np.arange(100) < 60
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, right, repeats=(right[::-1], right))
        write_trial(ledger, 1, np.arange(100) < 30)
        fail_trial(ledger, 2, "out of memory")
    return workspace


def said(workspace, capsys, json_output=False, **options) -> str:
    session = Session(workspace, json_output, quiet=True)
    assert session.run(lambda: trials(session, **options)) == 0
    return capsys.readouterr().out


def test_rows_tell_score_interval_and_what_to_make_of_them(studied, capsys):
    lines = said(studied, capsys).splitlines()
    assert lines[0].startswith("t0000           0.6000 (0.")
    assert "mean of 2 new seeds; 0.6000 when picked" in lines[0]
    assert lines[2].split() == ["t0002", "failed", "out", "of", "memory"]
    assert lines[3].startswith("winner t0000, best of 2: 0.6000; expected drop on new images ")


def test_json_has_every_documented_key(studied, capsys):
    document = json.loads(said(studied, capsys, json_output=True))
    keys = {"trial_id", "kind", "status", "score", "low", "high", "tied", "seconds", "epochs",
            "head", "training"}  # fmt: skip
    assert all(keys <= set(row) for row in document["trials"])
    assert document["winners_curse"]["trial_id"] == "t0000"


def test_csv_is_a_table(studied, capsys):
    rows = list(csv.DictReader(io.StringIO(said(studied, capsys, as_csv=True))))
    assert [row["trial_id"] for row in rows] == ["t0000", "t0001", "t0002"]
    assert rows[0]["repeats"] == "2"


def test_top_cuts_the_table(studied, capsys):
    assert len(json.loads(said(studied, capsys, True, top=1))["trials"]) == 1
