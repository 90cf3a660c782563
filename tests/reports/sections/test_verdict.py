"""Covers cars_bench/reports/cautions.py and cars_bench/reports/accuracies.py as well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.finetune.runs import Run
from cars_bench.reports.inputs import read_inputs
from cars_bench.reports.sections import finetune as finetuned
from cars_bench.reports.sections.verdict import facts
from cars_bench.reports.words import percent
from tests.reports.changes import with_answers, with_card, with_record, with_row


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


def test_where_fine_tuning_paid_the_headline_says_so_first_and_by_how_much(finished):
    found = facts(with_answers(finished, "test", 15, 27))
    assert found.headline == (
        "Fine-tuning paid: +40.0 points on 30 unseen test images (95% interval +23.3 to +60.0, "
        "McNemar's exact test p < 0.001). "
        "The fine-tuned model names 90.0% of them right at the first guess."
    )
    assert (found.finetuning.paid, found.finetuning.recommended) == (True, "finetuned")
    assert found.next_command == ""
    assert not any("not better" in caution.text for caution in found.warnings)


@pytest.mark.parametrize("gain", [1, 4])
def test_where_the_gain_is_not_settled_the_frozen_head_is_kept(finished, gain):
    found = facts(with_answers(finished, "test", 16, 16 + gain))
    change = percent(gain / 30).rstrip("%")
    assert found.headline.startswith(
        f"Fine-tuning did not pay: +{change} points on 30 unseen test images may be chance ("
    )
    assert found.headline.endswith(
        "Keep the frozen t0001, which names 53.3% of them right at the first guess."
    )
    assert (found.finetuning.paid, found.finetuning.recommended) == (False, "frozen")
    assert found.next_command == (
        "cars-bench finetune --trial t0001 --unfreeze none --study drawn-tiny"
    )
    (caution,) = (item for item in found.warnings if "not better" in item.text)
    assert "--lr 1e-5" in caution.fix


def test_where_fine_tuning_did_harm_that_is_said(finished):
    found = facts(with_answers(finished, "test", 27, 15))
    assert found.headline.startswith("Fine-tuning did harm: -40.0 points on 30 unseen test images")
    assert "Keep the frozen t0001, which names 90.0% of them right" in found.headline


def test_a_frozen_head_that_is_a_whole_model_already_is_predicted_with(finished):
    changed = with_answers(finished, "test", 16, 16)
    (run,) = changed.runs
    whole = replace(run, folder=run.folder.with_name("t0001-none"))
    whole = replace(whole, record=replace(run.record, epochs=0, finetuned={}))
    found = facts(replace(changed, runs=(run, whole)))
    assert found.next_command == ("cars-bench predict PHOTOS --model drawn-tiny/t0001-none")


def test_before_the_test_images_are_read_validation_decides_and_that_is_said(finished):
    found = facts(with_answers(finished, "val", 9, 17))
    assert found.headline.startswith(
        "Fine-tuning paid: +44.4 points on the 18 validation images, on which its epoch was chosen,"
    )
    assert found.next_command == "cars-bench evaluate --model drawn-tiny/t0001-conv3"
    kept = facts(with_answers(finished, "val", 9, 10))
    number = percent(kept.best("frozen", "val").value)
    assert f"Keep the frozen t0001, which names {number} of them right" in kept.headline


def test_a_run_that_trained_nothing_is_not_called_fine_tuned(finished):
    found = facts(with_record(finished, epochs=0))
    assert found.finetuning is None
    assert found.headline.startswith("The assembled model names ")
    assert {item.label for item in found.baselines if item.kind == "finetuned"} == {
        "Assembled model"
    }


def test_a_winner_that_was_evaluated_is_spoken_of_by_its_test_images(evaluated_winner):
    found = facts(evaluated_winner)
    test = found.best("frozen", "test")
    assert (test.label, test.n) == ("Frozen winner", 30)
    assert found.headline == (
        f"The frozen winner names {percent(test.value)} of 30 unseen test images right at the "
        "first guess."
    )
    assert (found.stage, found.next_command) == (
        "tuned",
        "cars-bench finetune --best --study drawn-tiny",
    )


def test_the_frozen_head_has_the_leaderboards_number_and_not_that_of_one_training(finished):
    row = finished.frozen_row
    carried = finished.run.score("frozen", "val").top1.value
    found = facts(finished).best("frozen", "val")
    assert (found.value, found.low, found.high, found.n) == (row.score, row.low, row.high, 18)
    assert found.value != carried


def test_failed_trials_and_set_aside_images_are_warned_of(finished):
    texts = " ".join(warning.text for warning in facts(finished).warnings)
    assert "1 trial failed" in texts
    assert "1 unusable image set aside" in texts


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
    assert said.headline == (
        "The frozen winner, chosen from 29 heads, reaches 50.0% on the validation images."
    )


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
    assert "on 30 unseen test images" in facts(finished).headline
    assert "on 30 test images" in facts(_with_copy(finished)).headline
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


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ((0.9, 0.7, 1.25), "Its validation loss rose from 0.7 to 1.25: it overfits."),
        ((0.9, 0.7, 0.7), ""),
        ((0.9, 0.8, 0.7), ""),
        ((None, None, None), ""),
    ],
)
def test_a_validation_loss_that_rose_is_told_where_fine_tuning_did_not_pay(
    finished, monkeypatch, losses, said
):
    rows = [
        replace(row, val_loss=loss)
        for row, loss in zip(finished.run.history(), losses, strict=False)
    ]
    monkeypatch.setattr(Run, "history", lambda _: (*rows, replace(rows[0], epoch=4, val_loss=9.0)))
    kept = with_record(with_answers(finished, "test", 16, 16), best_epoch=3)
    (caution,) = (item for item in facts(kept).warnings if "not better" in item.text)
    assert caution.text.endswith(said or "than the frozen head for certain.")


def test_accuracies_of_a_run_are_the_same_in_the_verdict_and_in_its_own_section(finished):
    (run,) = finetuned.facts(finished)
    assert sorted(run.accuracies, key=str) == sorted(
        (item for item in facts(finished).baselines if item.kind in ("frozen", "finetuned")),
        key=str,
    )
    assert run.start == finished.run.score("frozen", "val").top1.value


def test_it_warns_of_test_images_that_look_like_training_images_and_counts_without_them(finished):
    rows = finished.answers("finetuned", "test").rows
    right = [row for row in rows if row.correct()]
    seen = [row.image_id for row in right[:5]]
    (caution,) = (item for item in facts(finished, seen).warnings if "look like" in item.text)
    assert caution.text.startswith("5 test images look like a training or validation image")
    rest = percent((len(right) - 5) / (len(rows) - 5))
    assert f"Of the other {len(rows) - 5} the fine-tuned model names {rest} right" in caution.text
    assert caution.files == tuple(sorted(seen))
    assert not any("look" in item.text for item in facts(finished).warnings)
    assert "unseen" in facts(finished).headline
    assert "unseen" not in facts(finished, seen).headline


def test_the_report_tells_the_verdict_which_images_those_are(report):
    (caution,) = (item for item in report.verdict.warnings if "looks like" in item.text)
    assert caution.files == report.near_duplicates.seen


def test_copies_of_the_very_file_are_not_told_twice(finished):
    table = finished.dataset.table.copy()
    row = table.index[table["split"] == "test"][0]
    table.loc[row, "sha256"] = table.loc[table["split"] == "train", "sha256"].iloc[0]
    copied = replace(finished, dataset=replace(finished.dataset, table=table))
    told = [item.text for item in facts(copied, [table.loc[row, "image_id"]]).warnings]
    assert any("byte for byte" in text for text in told)
    assert not any("looks like" in text for text in told)
