from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections.verdict import facts
from cars_bench.reports.words import percent
from cars_bench.tuning.ledger import Repeat
from cars_bench.tuning.study import DatasetReference
from tests.reports.changes import with_card, with_record, with_row, with_study


@pytest.mark.parametrize(
    ("stage", "command"),
    [
        ("prepared", "cars-bench extract"),
        ("extracted", "cars-bench tune --trials 100"),
        ("tuned", "cars-bench finetune --best --study drawn-tiny"),
        ("finetuned", ""),
    ],
)
def test_the_next_command_follows_the_stage(drawn, stage, command):
    found = facts(read_inputs(drawn(stage)))
    assert (found.stage, found.next_command) == (stage, command)


def test_the_ladder_climbs_from_chance_over_probes_to_the_test_accuracy(finished):
    kinds = [item.kind for item in facts(finished).baselines]
    assert kinds == ["chance", *["probe"] * 3, *["frozen"] * 2, *["finetuned"] * 2]


def test_chance_is_one_in_the_number_of_classes(finished):
    assert facts(finished).baselines[0].value == pytest.approx(1 / 6)


def test_the_headline_speaks_of_the_test_images(finished):
    best = facts(finished).best("finetuned", "test")
    assert best is not None
    assert facts(finished).headline.startswith(
        f"The fine-tuned model names {percent(best.value)} of 30 "
    )


def test_failed_trials_and_set_aside_images_are_warned_of(finished):
    texts = " ".join(warning.text for warning in facts(finished).warnings)
    assert "1 trial failed" in texts
    assert "1 unusable image set aside" in texts


def test_a_dataset_that_changed_since_is_warned_of(finished):
    changed = with_study(finished, dataset=DatasetReference("drawn", "another"))
    texts = [warning.text for warning in facts(changed).warnings]
    assert any("changed since" in text for text in texts)


def test_a_missing_probe_is_warned_of(finished):
    board = tuple(row for row in finished.board if row.kind == "trial")
    found = facts(replace(finished, board=board))
    assert any(warning.fix == "cars-bench probe" for warning in found.warnings)


def test_costs_are_wall_times(finished):
    costs = facts(finished).cost_seconds
    assert costs["extract"] == pytest.approx(finished.manifest.records / 40, abs=1e-3)
    assert costs["finetune"] == 63.0
    assert costs["search"] == 2.5  # all trials of the drawn ledger ran at the same time


def test_the_winner_is_shown_by_its_mean_over_new_seeds(drawn):
    inputs = read_inputs(drawn("tuned"))
    said = facts(with_row(inputs, inputs.winner.trial_id, score=0.5, low=0.4, high=0.6))
    item = said.best("frozen", "val")
    assert (item.value, item.low, item.high) == (0.5, 0.4, 0.6)
    assert "50.0%" in said.headline


def _with_copy(inputs, class_name=None, warnings=()):
    """The inputs whose first test image is a training image, by default under its own label."""
    table = inputs.dataset.table.copy()
    test = table.index[table["split"] == "test"][0]
    train = table.index[(table["split"] == "train") & (table["class_name"] != class_name)][0]
    table.loc[test, "sha256"] = table.loc[train, "sha256"]
    table.loc[test, "class_name"] = class_name or table.loc[train, "class_name"]
    dataset = replace(inputs.dataset, table=table)
    return with_card(replace(inputs, dataset=dataset), warnings=tuple(warnings))


def test_the_headline_says_unseen_only_where_no_test_image_is_a_training_image(finished):
    assert "30 unseen test images right" in facts(finished).headline
    assert "of 30 test images right" in facts(_with_copy(finished)).headline
    assert "unseen" not in facts(replace(finished, dataset=None)).headline


def test_one_file_under_two_labels_is_told_with_what_to_do(finished):
    inputs = _with_copy(finished, "BMW X6 SUV 2012")
    (found,) = (w for w in facts(inputs).warnings if "byte for byte" in w.text)
    assert found.text == ("1 test image is byte for byte a training image, under another label.")
    assert "correct the labels" in found.fix
    assert len(found.files) == 1
    assert "(test, BMW X6 SUV 2012) = " in found.files[0]


def test_the_count_of_the_table_replaces_the_sentence_of_an_old_card(finished):
    old = "2 images are byte for byte the same as one in another split: a, b."
    texts = [w.text for w in facts(_with_copy(finished, None, [old, "Other."])).warnings]
    assert old not in texts
    assert "Other." in texts
    assert sum("byte for byte" in text for text in texts) == 1


def test_an_old_cards_sentence_still_shows_where_the_table_cannot_say_it_better(finished):
    old = "2 images are byte for byte the same as one in another split: a, b."
    texts = [w.text for w in facts(with_card(finished, warnings=(old,))).warnings]
    assert old in texts


def _with_repeats(inputs, trial_id, single):
    again = tuple(Repeat(repeat=number, seed=number, score=0.5) for number in (1, 2, 3))
    row = next(row for row in inputs.board if row.trial_id == trial_id)
    trial = replace(row.trial, repeats=again, score=single)
    return with_row(inputs, trial_id, trial=trial, score=0.5)


def test_the_scores_of_one_frozen_head_are_told_apart_by_training(finished):
    carried = finished.run.score("frozen", "val").top1.value
    found = facts(_with_repeats(finished, finished.run.record.trial_id, 0.7)).frozen_scores
    assert (found.carried, found.mean, found.repeats, found.picked) == (carried, 0.5, 3, 0.7)
    assert not found.one_training
    same = _with_repeats(finished, finished.run.record.trial_id, carried)
    assert facts(same).frozen_scores.one_training


def test_before_fine_tuning_no_score_is_carried_into_a_model(drawn):
    inputs = read_inputs(drawn("tuned"))
    found = facts(_with_repeats(inputs, inputs.winner.trial_id, 0.6)).frozen_scores
    assert (found.carried, found.picked) == (None, 0.6)


def test_a_head_that_was_trained_once_has_one_score(finished):
    assert facts(finished).frozen_scores is None


def test_a_chosen_run_that_was_not_tested_is_not_spoken_of_as_finished(finished):
    untested = {"val": finished.run.score("finetuned", "val")}
    found = facts(with_record(finished, finetuned=untested))
    assert found.stage == "tuned"
    assert found.best("finetuned", "test") is None


def test_the_probes_are_held_against_the_mean_over_new_seeds(finished):
    winner = finished.winner.trial_id
    beaten = with_row(finished, winner, beats_probes=True)
    texts = [caution.text for caution in facts(beaten).warnings]
    assert not any("No trained head beats" in text for text in texts)
    texts = [c.text for c in facts(with_row(finished, winner, beats_probes=False)).warnings]
    assert any("No trained head beats" in text for text in texts)
