from __future__ import annotations

import pytest

from cars_bench.errors import InputError, RecordDamaged, StudyMissing
from cars_bench.reports.cautions import cautions
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.report import gather
from cars_bench.reports.reproduce import reproduce
from cars_bench.workspace import Workspace
from tests.reports.workspaces import make_workspace, prepared_anew


def test_nothing_made_yet_says_what_to_do_first(tmp_path):
    with pytest.raises(InputError, match="nothing to report") as caught:
        read_inputs(Workspace(tmp_path))
    assert "prepare" in caught.value.fix


def test_a_study_that_was_named_and_is_not_there_is_an_error(drawn):
    with pytest.raises(StudyMissing, match="nowhere"):
        read_inputs(drawn("prepared"), "nowhere")


@pytest.mark.parametrize(
    ("stage", "parts"),
    [
        ("prepared", (True, False, False, False)),
        ("extracted", (True, True, False, False)),
        ("tuned", (True, True, True, False)),
        ("finetuned", (True, True, True, True)),
    ],
)
def test_each_stage_adds_its_part(drawn, stage, parts):
    found = read_inputs(drawn(stage))
    there = (found.dataset, found.manifest, found.study, found.runs)
    assert tuple(bool(part) for part in there) == parts


def test_the_ledgers_torn_last_line_is_no_event(finished):
    running = [row.trial_id for row in finished.board if row.status == "running"]
    assert running == ["t0030"]


def test_the_ranking_holds_every_completed_trial_best_first(finished):
    scores = [trial.score for trial in finished.ranked]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 29 + 3


def test_the_winner_is_a_trial_even_where_a_probe_is_better(finished):
    assert finished.winner is not None
    assert finished.winner.kind == "trial"


def test_what_the_chosen_run_answered_is_held_by_stage_and_split(finished):
    assert set(finished.predictions) == {
        ("frozen", "val"), ("frozen", "test"), ("finetuned", "val"), ("finetuned", "test"),
    }  # fmt: skip
    assert len(finished.answers("finetuned", "test")) == 30
    assert finished.answers("finetuned", "train") is None


def test_a_damaged_record_stops_the_report_in_one_sentence(tmp_path):
    workspace = make_workspace(tmp_path, trials=2)
    path = next(workspace.studies.glob("*/final/*/run.json"))
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RecordDamaged, match="not JSON"):
        read_inputs(workspace)


def test_a_dataset_that_changed_since_is_not_taken_for_the_studys(tmp_path):
    found = read_inputs(prepared_anew(make_workspace(tmp_path, trials=3)))
    assert (found.dataset, found.replaced) == (None, True)
    (text, *_) = [item.text for item in cautions(found)]
    assert text.startswith("The dataset has changed since this study was made")
    report = gather(found)
    assert (report.data, report.verdict.stage) == (None, "finetuned")
    first = reproduce(found).commands[0]
    assert first.startswith("# first prepare drawn as it was: digest ")
