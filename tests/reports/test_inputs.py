from __future__ import annotations

import pytest

from cars_bench.errors import InputError, StudyMissing
from cars_bench.reports.inputs import read_inputs
from cars_bench.workspace import Workspace


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
    running = [trial.trial_id for trial in finished.trials if trial.status == "running"]
    assert running == ["t0030"]


def test_the_ranking_holds_every_completed_trial_best_first(finished):
    scores = [trial.score for trial in finished.ranked]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 29 + 3


def test_the_winner_is_a_trial_even_where_a_probe_is_better(finished):
    assert finished.winner is not None
    assert finished.winner.kind == "trial"
