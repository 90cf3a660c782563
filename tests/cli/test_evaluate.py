"""`cars-bench evaluate`: what it prints and how it fails."""

from __future__ import annotations

import json
import re

from cars_bench.cli.evaluate import evaluate
from cars_bench.cli.session import Session


def test_a_person_reads_accuracy_calibration_confusions_and_what_fine_tuning_changed(
    finished, capsys
):
    session = Session(finished, quiet=True)
    assert session.run(lambda: evaluate(session)) == 0
    printed = capsys.readouterr().out
    assert "only the fine-tuned right: " in printed
    assert "(McNemar's exact test p = " in printed
    assert re.search(r"Fine-tuning .+ 12 test images .*Recommended: the ", printed)
    assert "mean over classes" in printed
    assert "calibration error: frozen " in printed
    assert " with temperature " in printed
    assert "next: cars-bench report --study " in printed
    assert "hardest classes: " in printed


def test_a_model_and_a_study_exclude_each_other(finished, capsys):
    session = Session(finished, quiet=True)
    assert session.run(lambda: evaluate(session, model="a/b", study="a")) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_evaluate_as_json_is_strict(finished, capsys):
    session = Session(finished, json_output=True, quiet=True)
    assert session.run(lambda: evaluate(session, split="val")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() >= {"frozen", "finetuned", "handoff", "mcnemar", "measures"}


def test_before_fine_tuning_the_frozen_winner_is_evaluated(tuned, capsys):
    session = Session(tuned, quiet=True)
    assert session.run(lambda: evaluate(session)) == 0
    printed = capsys.readouterr().out
    assert "frozen     test top-1" in printed
    assert "fine-tuned" not in printed


def test_a_model_that_is_not_there_is_missing(tuned, capsys):
    session = Session(tuned, quiet=True)
    assert session.run(lambda: evaluate(session, model="t0000-block3")) == 3
    assert "cars-bench finetune --best" in capsys.readouterr().err
