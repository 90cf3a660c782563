"""`cars-bench fidelity`: what it prints and how it fails."""

from __future__ import annotations

import json

import pytest

from cars_bench.cli.fidelity import fidelity, fidelity_lines
from cars_bench.cli.session import Session
from tests.finetune.test_cache_fidelity_record import FOUND


def test_json_is_one_document_with_tau_regret_and_views(tuned, recipe, capsys):
    session = Session(tuned, json_output=True, quiet=True)
    options = {"heads": 2, "seeds": 1, "recipe": str(recipe), "epochs": 1}
    assert session.run(lambda: fidelity(session, **options)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["tau"].keys() == {"value", "low", "high"}
    assert document["regret"]["lost"].keys() == {"value", "low", "high"}
    assert len(document["heads"]) == 2
    assert len(document["views"]) == 3
    assert document["any_will_do"] in (True, False, None)
    assert document["best"] in {head["trial_id"] for head in document["heads"]}


def test_a_dry_run_lists_heads_and_runs_and_writes_nothing(tuned, recipe, capsys):
    before = set(tuned.root.rglob("*"))
    session = Session(tuned, quiet=True)
    options = {"heads": 3, "recipe": str(recipe), "dry_run": True}
    assert session.run(lambda: fidelity(session, **options)) == 0
    printed = capsys.readouterr().out
    assert "10 runs, 0 of them finished; time known after the first run" in printed
    assert set(tuned.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "code"),
    [({"heads": 50}, 2), ({"heads": 2, "study": "none"}, 3), ({"heads": 2, "recipe": "no"}, 2)],
)
def test_what_cannot_be_asked_is_refused(tuned, capsys, options, code):
    session = Session(tuned, json_output=True, quiet=True)
    assert session.run(lambda: fidelity(session, **options)) == code
    assert json.loads(capsys.readouterr().out)["error"]["fix"]


def test_a_person_reads_heads_tau_regret_views_and_advice():
    said = "\n".join(fidelity_lines(FOUND))
    assert "60.0%        72.0%  winner" in said
    assert "Kendall's tau 0.33 (95% interval -0.20 to 1.00" in said
    assert "regret 4.0 points (95% interval 0.0 to 8.0" in said
    assert "1 cached view" in said
    assert said.endswith(FOUND.advice)
