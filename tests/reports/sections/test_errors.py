from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cars_bench.evaluation.assessment import assess
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.errors import MOST_PAIRS, facts, figure, table
from cars_bench.reports.words import percent
from cars_bench.tuning.study import Study, Winner
from tests.reports.changes import with_record
from tests.reports.pages import page_of
from tests.reports.workspaces import evaluated, make_workspace


def test_everything_that_is_said_is_the_judges(finished):
    found = facts(finished)
    judged = assess(finished.answers("finetuned", "test"), finished.class_names)
    assert (found.run, found.stage) == ("t0001-conv3", "finetuned")
    assert (found.images, found.wrong) == (judged.score.n, len(judged.mistakes))
    assert found.pairs == judged.mutual[:MOST_PAIRS]
    assert found.calibration_error == judged.calibration.expected_calibration_error
    assert found.groups == judged.groups
    assert found.matrix == judged.cells
    assert [item.image_id for item in found.worst] == [item.image_id for item in judged.mistakes]
    assert [(item.true, item.predicted, item.count, item.of) for item in judged.confused] == [
        (item.true, item.predicted, item.count, item.of) for item in found.confusions
    ]


def test_before_fine_tuning_the_frozen_head_is_judged(finished):
    answers = {("frozen", "test"): finished.answers("frozen", "test")}
    found = facts(replace(finished, predictions=answers))
    assert found.stage == "frozen"
    assert [item.stage for item in found.calibrations] == ["frozen"]
    assert (found.gains, found.changed) == ((), None)


def test_without_answers_nothing_is_said(finished, drawn):
    assert facts(replace(finished, predictions={})) is None
    assert facts(read_inputs(drawn("tuned"))) is None


def test_a_frozen_winner_that_was_evaluated_is_judged_before_anything_is_fine_tuned(
    evaluated_winner,
):
    found = facts(evaluated_winner)
    judged = assess(evaluated_winner.head.answers("test"), evaluated_winner.class_names)
    assert (found.run, found.stage, found.model) == ("", "frozen", "frozen winner")
    assert (found.images, found.wrong) == (30, len(judged.mistakes))
    assert (found.changed, found.cooled, found.uncooled) == (None, None, "")
    page = page_of(evaluated_winner)
    assert "test images are named wrong by the frozen winner" in page
    assert "have not been predicted" not in page


def test_a_winner_that_was_replaced_since_is_not_judged_by_the_answers_of_the_last(
    evaluated_winner, tmp_path
):
    workspace = evaluated(make_workspace(tmp_path, "tuned"))
    Study.open(workspace).changed(winner=Winner(trial_id="t0003"))
    assert facts(read_inputs(workspace)) is None


def test_answers_mended_and_broken_are_counted_image_by_image(finished):
    found = facts(finished)
    before = 1 - finished.run.score("frozen", "test").top1.value
    wrong_before = found.wrong + found.changed.only_second - found.changed.only_first
    assert wrong_before == round(before * found.images)


def test_facts_of_a_finished_study_agree_with_its_record(finished):
    found = facts(finished)
    recorded = finished.run.score("finetuned", "test").top1.value
    assert 1 - found.wrong / found.images == pytest.approx(recorded)
    assert sum(count for *_, count in found.matrix) == found.images
    assert sum(cell.count for cell in found.confusions) == found.wrong
    assert all(a.change >= b.change for a, b in zip(found.gains, found.gains[1:], strict=False))


def test_both_models_are_told_frozen_first(finished):
    found = facts(finished).calibrations
    assert [item.stage for item in found] == ["frozen", "finetuned"]


def test_only_bins_that_hold_images_are_drawn_and_written_out(finished):
    found = facts(finished)
    assert all(item.n for item in found.bins)
    assert sum(item.n for item in found.bins) == found.images
    rows = table(found)["reliability"].rows
    assert [row[0] for row in rows].count("as it is") == len(found.bins)
    assert [row[0] for row in rows].count("with its temperature") == len(found.cooled.bins)
    assert "frozen t0001: " in figure(found)["reliability"]


def test_an_error_on_a_training_image_says_under_which_label_it_was_learnt(finished):
    table = finished.dataset.table.copy()
    wrong = facts(finished).worst[0].image_id
    learnt = table[table["split"] == "train"].iloc[0]
    table.loc[table["image_id"] == wrong, "sha256"] = learnt["sha256"]
    found = facts(replace(finished, dataset=replace(finished.dataset, table=table)))
    assert [item.near_duplicate for item in found.worst[:2]] == [learnt["class_name"], ""]


def test_an_error_is_no_near_duplicate_where_the_dataset_is_gone(finished):
    found = facts(replace(finished, dataset=None))
    assert {item.near_duplicate for item in found.worst} == {""}


def test_calibration_says_its_direction_for_both_models_and_what_chance_would_show(section):
    said = section("errors")
    for model in ("frozen t0001", "fine-tuned model"):
        assert re.search(rf"The {model} is \S+[^:]*: it says \d+% on average", said)
    assert said.count("a calibrated model would show up to") == 3


def test_the_temperature_stands_with_before_and_after(finished, section):
    found = facts(finished).cooled
    before, after = found.tested
    assert (found.temperature, found.images) == (1.8, 18)
    assert before.error > after.error
    said = section("errors")
    assert "With the temperature 1.8, fitted on 18 validation images and measured here on" in said
    assert f"Before: {percent(before.error)}." in said
    assert f"Expected calibration error {percent(after.error)};" in said
    assert "cars-bench predict --calibrated" in said


def test_a_temperature_that_was_not_tested_is_said_to_be_measured_where_it_was_fitted(finished):
    whole = finished.run.record.temperature
    fitted = replace(whole, before={"val": whole.before["val"]}, after={"val": whole.after["val"]})
    changed = with_record(finished, temperature=fitted)
    assert facts(changed).cooled.tested is None
    assert "and measured on the same ones" in page_of(changed)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "made before one was kept"),
        ({"refit": True}, "trained on the validation images"),
    ],
)
def test_a_model_without_a_temperature_says_why(finished, fields, why):
    changed = with_record(finished, temperature=None, **fields)
    assert why in facts(changed).uncooled
    assert f"The fine-tuned model has no temperature: it was {why}" in page_of(changed)


def test_the_gallery_counts_its_errors_and_says_where_the_truth_is_not_among_five(
    finished, page, section
):
    found = facts(finished)
    said = section("errors")
    assert f"The most confident errors ({len(found.worst)} of {found.wrong})" in said
    tiles = re.findall(r"<li data-number.*?</li>", page.split('id="gallery"')[1], re.DOTALL)
    assert all("for the truth" in t or "not in its top 5" in t for t in tiles[: len(found.worst)])


def test_without_scripts_a_sentence_stands_for_the_matrix_and_the_table_stays(page):
    before, after = page.split('<div id="confusion"')
    assert "<noscript>" in before.split("Confusion of all 6 classes")[1]
    assert '<details class="numbers"><summary>The wrong cells' in after


def test_the_matrix_can_be_ordered_by_make_or_by_what_is_confused(page, report, finished):
    part = page.split('<div id="confusion"')[1].split("</canvas>")[0]
    assert re.findall('<option value="([a-z]+)">', part) == ["groups", "confused"]
    order = report.mistakes.order
    assert sorted(order) == list(range(6))
    most = report.mistakes.pairs[0]
    first, second = (finished.class_names.index(name) for name in (most.true, most.predicted))
    assert abs(order.index(first) - order.index(second)) == 1


def test_weak_groups_have_column_headings(section):
    assert "By make, worst first Make Right 95% interval Images" in section("errors")
