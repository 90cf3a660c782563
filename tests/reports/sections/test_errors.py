from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest

from cars_bench.reports.sections.errors import (
    Confusion,
    answers_changed,
    calibration,
    calibrations,
    confident_errors,
    confused,
    confusion_cells,
    facts,
    group_scores,
    off_diagonal,
)


def _table(*rows: tuple[str, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["true", "pred1", "prob1"])
    table["image_id"] = [f"{n}.png" for n in range(len(table))]
    return table.assign(right=table["true"] == table["pred1"], p=table["prob1"])


TABLE = _table(
    *[("a", "b", 0.6), ("a", "b", 0.9), ("b", "a", 0.8)],
    *[("b", "b", 0.9), ("c", "a", 0.4), ("a", "a", 1.0)],
)


def test_both_directions_of_a_pair_count_together():
    first, second = confused(TABLE, 5)
    assert (first.true, first.predicted, first.count, first.back, first.of) == ("a", "b", 2, 1, 3)
    assert (second.true, second.count, second.back) == ("c", 1, 0)


def test_a_pairs_pictures_begin_with_the_most_confident_error():
    assert confused(TABLE, 1)[0].images == ("1.png", "0.png")


def test_two_classes_equally_confused_make_one_pair():
    table = _table(("a", "b", 0.5), ("b", "a", 0.5))
    assert len(confused(table, 5)) == 1


def test_the_worst_errors_are_the_confident_ones():
    assert [item.probability for item in confident_errors(TABLE, 2)] == [0.9, 0.8]


def test_groups_that_class_names_tell_apart_are_scored():
    table = _table(("Audi S4 Sedan 2012", "x", 0.5), ("BMW X5 SUV 2012", "BMW X5 SUV 2012", 0.9))
    groups = group_scores(table)
    assert [(row.group, row.accuracy.value) for row in groups["make"]] == [("Audi", 0), ("BMW", 1)]
    assert "year" not in groups


def test_answers_mended_and_broken_are_counted_image_by_image(finished):
    changed = answers_changed(finished.run)
    found = facts(finished)
    before = 1 - finished.run.accuracy("frozen", "test")["top1"]["value"]
    assert changed is not None
    wrong_before = found.wrong + changed.only_second - changed.only_first
    assert wrong_before == round(before * found.images)


def test_confusion_cells_use_the_labels_and_skip_unknown_classes():
    assert confusion_cells(TABLE, ["a", "b"]) == [(0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 1)]


def test_facts_of_a_finished_study_agree_with_its_record(finished):
    found = facts(finished)
    assert found is not None
    recorded = finished.run.accuracy("finetuned", "test")["top1"]["value"]
    assert 1 - found.wrong / found.images == pytest.approx(recorded)
    assert sum(count for *_, count in found.matrix) == found.images
    assert all(a.change >= b.change for a, b in zip(found.gains, found.gains[1:], strict=False))


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


def test_wrong_cells_are_named_most_first_with_the_size_of_the_true_class():
    matrix = [(0, 0, 5), (0, 1, 1), (1, 0, 3), (1, 1, 2), (2, 0, 1)]
    assert off_diagonal(matrix, ["a", "b", "c"]) == (
        Confusion("b", "a", 3, 5),
        Confusion("a", "b", 1, 6),
        Confusion("c", "a", 1, 1),
    )


def test_the_wrong_cells_of_a_study_hold_all_its_errors(finished):
    found = facts(finished)
    assert sum(cell.count for cell in found.confusions) == found.wrong


@pytest.mark.parametrize(
    ("sure", "direction"),
    [
        (0.46, "under-confident"),
        (0.95, "over-confident"),
        (0.74, "well calibrated on average"),
    ],
)
def test_the_direction_compares_mean_sureness_with_the_interval_of_accuracy(sure, direction):
    found = calibration("finetuned", _sure(sure, 76))
    assert found.direction == direction
    assert found.right.value == 0.76
    assert found.error == pytest.approx(abs(0.76 - sure))


def test_both_models_are_told_frozen_first():
    found = calibrations({"test": _sure(0.5, 76), "test-frozen": _sure(0.9, 60), "val": None})
    assert [item.stage for item in found] == ["frozen", "finetuned"]
    assert [item.direction for item in found] == ["over-confident", "under-confident"]


def test_a_model_that_was_not_predicted_is_left_out():
    assert [item.stage for item in calibrations({"test": _sure(0.5, 76)})] == ["finetuned"]
    assert calibrations({"test": _sure(0.5, 76).head(0)}) == ()


def _sure(sure: float, right: int, n: int = 100) -> pd.DataFrame:
    answers = ["a"] * right + ["b"] * (n - right)
    return pd.DataFrame({"true": "a", "pred1": answers, "prob1": [str(sure)] * n})


def test_calibration_says_its_direction_for_both_models(section):
    said = section("errors")
    for model in ("frozen", "fine-tuned"):
        assert re.search(rf"The {model} model is \S+[^:]*: it says \d+% on average", said)


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
    assert "<noscript>" in before.split("Confusion by make")[1]
    assert '<details class="numbers"><summary>The wrong cells' in after


def test_weak_groups_have_column_headings(section):
    assert "By make, worst first Make Right 95% interval Images" in section("errors")
