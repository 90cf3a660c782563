from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from cars_bench.reports.mistakes import (
    answers_changed,
    confident_errors,
    confused,
    confusion_cells,
    group_scores,
    mistake_facts,
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
    facts = mistake_facts(finished)
    before = 1 - finished.run.accuracy("frozen", "test")["top1"]["value"]
    assert changed is not None
    wrong_before = facts.wrong + changed.only_second - changed.only_first
    assert wrong_before == round(before * facts.images)


def test_confusion_cells_use_the_labels_and_skip_unknown_classes():
    assert confusion_cells(TABLE, ["a", "b"]) == [(0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 1)]


def test_facts_of_a_finished_study_agree_with_its_record(finished):
    facts = mistake_facts(finished)
    assert facts is not None
    recorded = finished.run.accuracy("finetuned", "test")["top1"]["value"]
    assert 1 - facts.wrong / facts.images == pytest.approx(recorded)
    assert sum(count for *_, count in facts.matrix) == facts.images
    assert all(a.change >= b.change for a, b in zip(facts.gains, facts.gains[1:], strict=False))


def test_an_error_on_a_training_image_says_under_which_label_it_was_learnt(finished):
    table = finished.dataset.table.copy()
    wrong = mistake_facts(finished).worst[0].image_id
    learnt = table[table["split"] == "train"].iloc[0]
    table.loc[table["image_id"] == wrong, "sha256"] = learnt["sha256"]
    facts = mistake_facts(replace(finished, dataset=replace(finished.dataset, table=table)))
    assert [item.twin for item in facts.worst[:2]] == [learnt["class_name"], ""]


def test_an_error_is_no_twin_where_the_dataset_is_gone(finished):
    facts = mistake_facts(replace(finished, dataset=None))
    assert {item.twin for item in facts.worst} == {""}
