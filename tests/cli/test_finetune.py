"""`cars-bench finetune`: what it prints and how it fails."""

from __future__ import annotations

import json
import re

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cars_bench.cli.finetune import finetune
from cars_bench.cli.session import Session
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.study import Study

pytestmark = pytest.mark.usefixtures("not_served")


def test_json_is_one_document_with_the_keys_of_the_contract(tuned, recipe, capsys):
    session = Session(tuned, json_output=True, quiet=True)
    code = session.run(lambda: finetune(session, best=True, recipe=str(recipe), epochs=1))
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["handoff"].keys() >= {"max_abs_diff", "top1_agreement"}
    for stage in ("frozen", "finetuned"):
        assert document[stage].keys() == {"val", "test"}
        assert document[stage]["test"]["top1"].keys() == {"value", "low", "high"}


def test_a_dry_run_lists_layers_and_writes_nothing(tuned, recipe, capsys):
    before = set(tuned.root.rglob("*"))
    session = Session(tuned, quiet=True)
    options = {"best": True, "recipe": str(recipe), "unfreeze": "last:2", "dry_run": True}
    assert session.run(lambda: finetune(session, **options)) == 0
    printed = capsys.readouterr().out
    assert "block2_conv\nblock3_conv" in printed
    assert "all below block1 is frozen" in printed
    assert re.search(r"about \d+ s: .*3 epochs of \d+\.\d s", printed)
    assert set(tuned.root.rglob("*")) == before


def test_a_dry_run_tells_what_fits_into_a_budget(tuned, recipe, capsys):
    session = Session(tuned, json_output=True, quiet=True)
    options = {"best": True, "recipe": str(recipe), "time": "1h", "dry_run": True}
    assert session.run(lambda: finetune(session, **options)) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["cost"]["epochs"], document["cost"]["views"]) == (3, 2)
    assert 0 < document["seconds"] < 3600


def test_a_dry_run_of_any_head_trains_nothing(tuned, recipe, capsys):
    best = best_trial(Study.open(tuned)).trial_id
    other = next(name for name in ("t0000", "t0001") if name != best)
    before = set(tuned.root.rglob("*"))
    session = Session(tuned, quiet=True)
    options = {"trial": other, "recipe": str(recipe), "unfreeze": "none", "dry_run": True}
    assert session.run(lambda: finetune(session, **options)) == 0
    said, cost = capsys.readouterr().out.splitlines()
    assert said == "nothing would be trained"
    assert re.fullmatch(r"about \d+ s: \d+ s for checks", cost)
    assert set(tuned.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, 2),
        ({"best": True, "trial": "t0000"}, 2),
        ({"top": 2, "resume": True}, 2),
        ({"resume": True}, 3),
        ({"resume": True, "dry_run": True}, 2),
        ({"trial": "t0099"}, 3),
        ({"best": True, "recipe": "no-such-recipe"}, 2),
        ({"best": True, "unfreeze": "conv99"}, 2),
        ({"best": True, "study": "none-such"}, 3),
        ({"best": True, "track": "wandb"}, 2),
        ({"best": True, "time": "soon"}, 2),
        ({"best": True, "time": "0.001s"}, 2),
        ({"top": 2, "time": "1h"}, 2),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(tuned, capsys, options, code):
    session = Session(tuned, quiet=True)
    assert session.run(lambda: finetune(session, **options)) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert not list(tuned.studies.glob("*/final/*/plan.json"))


def test_a_person_is_told_first_whether_fine_tuning_paid(finished, recipe, capsys):
    session = Session(finished, quiet=True)
    assert session.run(lambda: finetune(session, best=True, recipe=str(recipe))) == 0
    lines = capsys.readouterr().out.splitlines()
    (said,) = (line for line in lines if line.startswith("Fine-tuning "))
    assert re.search(r"([+-]\d+\.\d points on|the same of) 12 test images", said)
    paid = said.startswith("Fine-tuning paid")
    assert said.endswith(f"Recommended: the {'fine-tuned model' if paid else 'frozen head'}.")


def test_a_tracked_run_shows_its_epochs_and_its_trials(tuned, recipe, capsys, tmp_path):
    session = Session(tuned, json_output=True, quiet=True)
    board = tmp_path / "board"
    options = {"best": True, "recipe": str(recipe), "track": f"tensorboard:{board}"}
    assert session.run(lambda: finetune(session, **options)) == 0
    json.loads(capsys.readouterr().out)
    (group,) = board.iterdir()
    assert {path.name for path in group.iterdir()} >= {"study", "t0000", "t0001", "t0002", "final"}
    (events,) = group.glob("final/*/events*")
    reader = EventAccumulator(str(events.parent)).Reload()
    assert [item.step for item in reader.Scalars("epochs/val_top1")] == [1, 2, 3]
    assert len(reader.Scalars("finetuned/test_top1")) == 1
    assert (events.parent / "model-card.md").is_file()
