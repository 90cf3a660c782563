"""Covers cars_bench/reports/compare.py and cars_bench/reports/compare_page.py."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cars_bench.errors import StudyMissing, UsageError
from cars_bench.evaluation.metrics import split_score
from cars_bench.evaluation.predictions import Predictions
from cars_bench.reports.compare import answers, compare, lines, paired_facts
from cars_bench.reports.compare_page import build_comparison, comparison_page
from cars_bench.reports.index import COMPARISON, entries
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.words import points
from cars_bench.tuning.ledger import Repeat
from cars_bench.tuning.ranking import pack
from tests.reports.changes import with_record, with_row, with_trials
from tests.reports.workspaces import CLASSES, CUT, EVIL, add_cropped, make_workspace, prepared_anew


def _other(inputs, right: float):
    """The same study under another name, its fine-tuned answers right for other images."""
    rows = inputs.answers("finetuned", "test").rows
    answers = Predictions(tuple(
        replace(row, answers=(row.true if place < right * len(rows) else "something else",),
                probabilities=(0.9,))
        for place, row in enumerate(rows)
    ))  # fmt: skip
    predictions = inputs.predictions | {("finetuned", "test"): answers}
    tested = split_score(answers.correct, answers.correct)
    scores = inputs.run.record.finetuned | {"test": tested}
    other = replace(inputs, predictions=predictions, study=_renamed(inputs.study))
    return with_record(other, finetuned=scores)


def _renamed(study):
    return replace(study, folder=study.folder.with_name("other"))


def test_a_study_against_itself_differs_in_nothing(finished):
    found = compare(finished, finished)
    assert found.headline == (
        "drawn-tiny and drawn-tiny name the same of 30 images right: fine-tuned model on test."
    )
    assert all(row.difference == 0 and row.p_value == 1 for row in found.answers.rows)
    assert not any(row.differs for row in (*found.data, *found.caches, *found.winners))
    assert [(row.stage, row.split) for row in found.answers.rows] == [
        ("finetuned", "test"), ("frozen", "test"), ("finetuned", "val"), ("frozen", "val"),
    ]  # fmt: skip


def test_the_better_one_is_named_with_the_one_difference(finished):
    found = compare(_other(finished, 1.0), _other(finished, 0.3))
    row = found.answers.rows[0]
    ends = f"{-100 * row.high:+.1f} to {-100 * row.low:+.1f}"
    assert found.headline == (
        f"other is ahead of other by 70.0 points on 30 images (95% interval {ends}, "
        "McNemar's exact test p < 0.001), fine-tuned model on test."
    )
    assert (row.images, row.only_second, row.only_first) == (30, 0, 21)
    assert row.difference == pytest.approx(-0.7)
    assert row.settled


def test_a_difference_within_the_noise_puts_nobody_ahead(finished):
    found = compare(finished, _other(finished, 0.8))
    (row, *_) = found.answers.rows
    assert not row.settled
    assert "ahead" not in found.headline
    assert found.headline.startswith(
        "drawn-tiny and other cannot be told apart on these 30 images: "
        f"other less drawn-tiny is {points(row.difference)} points (95% interval "
    )
    assert f"McNemar's exact test p = {row.p_value:.2g})" in found.headline


def test_a_difference_stands_once_on_the_page(finished):
    found = compare(finished, _other(finished, 0.5 + 1 / 30))
    page = comparison_page(found, {})
    cells = re.findall(r"[+-]\d+\.\d points</td>", page)
    assert len(cells) == len(found.answers.rows)
    assert f"{points(found.answers.rows[0].difference)} points</td>" == cells[0]


def test_the_paired_difference_is_that_of_the_accuracies_shown(finished):
    again = tuple(
        Repeat(repeat=n, seed=n, score=float(r.mean()), correct=pack(r))
        for n in (1, 2)
        for r in [np.arange(18) < 9 + n]
    )
    row = finished.frozen_row
    trial = replace(row.trial, repeats=again)
    mean = float(np.mean([item.score for item in again]))
    other = with_row(finished, row.trial_id, trial=trial, score=mean)
    found = compare(finished, other)
    shown = {(item.kind, item.split): item for item in found.measures}
    for paired in found.answers.rows:
        sides = shown[paired.stage, paired.split]
        assert paired.difference == pytest.approx(sides.second.value - sides.first.value)


def test_other_images_are_not_paired_and_their_number_is_said(finished):
    other = _other(finished, 0.5)
    fewer = {place: Predictions(found.rows[:-4]) for place, found in other.predictions.items()}
    other = replace(other, predictions=fewer)
    found = compare(finished, other)
    assert [(row.stage, row.split) for row in found.answers.rows] == [("frozen", "val")]
    assert (found.answers.unlike[0].first, found.answers.unlike[0].common) == (30, 26)
    assert found.headline == (
        "drawn-tiny and other did not answer the same images (30 and 26, 26 in common), so which "
        "is ahead is not known: fine-tuned model on test."
    )
    assert len(found.answers.classes) == 6


def test_before_fine_tuning_the_search_tells_the_winners_answers(drawn):
    inputs = read_inputs(drawn("tuned"))
    right = np.arange(18) % 3 == 0
    winner = inputs.winner.trial
    marked = with_trials(inputs, **{winner.trial_id: replace(winner, correct=pack(right))})
    found = answers(marked, "frozen", "val")
    assert list(found.correct) == list(right)
    unknown = with_trials(inputs, **{winner.trial_id: replace(winner, correct="")})
    assert answers(unknown, "frozen", "val") is None
    assert paired_facts(unknown, unknown).rows == ()


def test_what_only_one_side_has_stays():
    found = lines({"a": "1", "b": "2"}, {"b": "2", "c": "3"})
    assert [(line.name, line.differs) for line in found] == [
        ("a", True), ("b", False), ("c", True),
    ]  # fmt: skip


def test_settings_that_nothing_reads_are_left_out(finished):
    names = {line.name for line in compare(finished, finished).winners}
    assert {"Optimizer", "Learning rate", "Schedule"} <= names
    unread = ("gamma", "momentum", "boundaries", "cycle", "backbone", "precision", "floor")
    optimizer = finished.winner.trial.training.optimizer
    assert optimizer != "sgd"
    assert [name for name in names for word in unread if word in name.lower()] == []


def test_the_page_is_written_with_its_numbers_and_listed(tmp_path):
    workspace = make_workspace(tmp_path, trials=3, classes=(EVIL, *CLASSES))
    shutil.copytree(workspace.studies / "drawn-tiny", workspace.studies / "<b>")
    path = build_comparison(workspace, "drawn-tiny", "<b>")
    page = path.read_text("utf-8")
    document = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert document["title"] == "drawn-tiny against <b>"
    assert "<b>" not in page.replace("<b></b>", "")
    assert "<img src=x" not in page
    assert build_comparison(workspace, "drawn-tiny", "<b>").read_text("utf-8") == page
    (entry,) = entries(workspace.reports, COMPARISON)
    assert entry.headline == document["headline"]


def test_a_comparison_at_different_stages_says_what_is_missing(drawn, finished):
    page = comparison_page(compare(finished, read_inputs(drawn("tuned"))), {})
    assert "not measured" in page


def test_a_study_is_not_shown_with_the_dataset_that_took_its_datasets_name(tmp_path):
    workspace = prepared_anew(add_cropped(make_workspace(tmp_path, trials=3)))
    path = build_comparison(workspace, "drawn-tiny", CUT.study)
    document = json.loads(path.with_suffix(".json").read_text("utf-8"))
    (crop,) = [line for line in document["data"] if line["name"] == "Crop"]
    assert (crop["first"], crop["second"]) == ("none", "boxes")
    (told,) = document["lacking"]
    assert told["text"].startswith("drawn-tiny: The dataset has changed since")
    assert told["text"] in path.read_text("utf-8")


def test_a_study_against_itself_or_nothing_is_refused(drawn):
    with pytest.raises(UsageError, match="twice"):
        build_comparison(drawn("tuned"), "drawn-tiny", "drawn-tiny")
    with pytest.raises(StudyMissing, match="nowhere"):
        build_comparison(drawn("tuned"), "drawn-tiny", "nowhere")
