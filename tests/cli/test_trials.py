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


def test_the_table_has_a_header_and_marks_the_winner(studied, capsys):
    lines = said(studied, capsys).splitlines()
    assert lines[0].split() == ["trial", "top-1", "95%", "interval", "seconds", "head"]
    assert lines[1].startswith("* t0000           60.0%  ")
    assert lines[1].endswith("  8 relu  [mean of 2 new seeds]")
    assert lines[2].startswith("  t0001           30.0%  28.0 to 32.0  ")
    assert lines[3].split() == ["t0002", "failed:", "out", "of", "memory"]
    assert lines[4].startswith("* the winner, the pick of 2: expect ")
    assert lines[4].endswith(" points less on new images")
    assert len(lines) == 5
    assert lines[0].index("head") == lines[2].index("8 relu")


def test_what_cannot_be_told_from_the_first_is_marked(workspace, capsys):
    study = write_study(workspace.studies / "mine")
    workspace.remember("study", name="mine")
    with Ledger(study.ledger_path) as ledger:
        for number in range(3):
            write_trial(ledger, number, np.arange(100) < 60 - number)
    lines = said(workspace, capsys).splitlines()
    assert [line[0] for line in lines[1:4]] == ["*", "=", "="]
    assert lines[-1] == "= cannot be told from the first"


def test_a_winner_that_is_not_the_best_trial_says_why_it_won(workspace, capsys):
    study = write_study(workspace.studies / "mine")
    workspace.remember("study", name="mine")
    with Ledger(study.ledger_path) as ledger:
        write_trial(ledger, 0, np.arange(100) < 60, units=90)
        write_trial(ledger, 1, np.arange(100) < 59, units=10)
    lines = said(workspace, capsys).splitlines()
    assert lines[2].startswith("* t0001")
    assert lines[3].startswith(
        "* the winner, the smallest head that cannot be told from t0000 (60.0%), the pick of 2: "
    )


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
