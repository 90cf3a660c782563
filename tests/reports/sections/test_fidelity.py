from __future__ import annotations

from dataclasses import replace

from cars_bench.finetune.handoff import WholeCheck
from cars_bench.reports.page import report_page
from cars_bench.reports.report import gather
from cars_bench.reports.sections.fidelity import facts
from tests.reports.changes import with_record


def test_features_and_hand_off_say_by_how_much(finished):
    found = facts(finished)
    assert found is not None
    assert found.features == (
        ("Validation images computed again", "18"),
        ("Largest difference of one number", "0.0002"),
        ("Smallest cosine", "0.999999"),
    )
    assert dict(found.handoff)["Same first answer, assembled float32 model"] == "99.00%"
    assert found.frozen[0][1] == "12"
    assert found.frozen[-1] == ("Changed by training, all of them unfrozen", "3")


def test_precision_is_told_of_features_and_of_training(finished):
    found = dict(facts(finished).precision)
    assert found["Features computed by"] == "tensorflow, float32"
    assert found["Fine-tuned in"] == "float32"
    half = replace(finished.run.record.training, mixed_precision=True)
    found = dict(facts(with_record(finished, training=half)).precision)
    assert found["Fine-tuned in"].startswith("bfloat16")


def test_the_finished_model_is_held_against_its_trained_part(finished):
    assert facts(finished).whole == ()
    check = WholeCheck(
        images=18, max_abs_diff=0.03, top1_agreement=0.95, trained_top1=0.8, whole_top1=0.79
    )
    changed = with_record(finished, whole_check=check)
    found = dict(facts(changed).whole)
    assert found["Same first answer"] == "95.00%"
    assert found["Validation top-1, the finished model"] == "79.00%"
    page = report_page(gather(changed), changed)
    assert "the finished model against the part that was trained" in page


def test_what_was_not_checked_is_left_out(finished):
    assert facts(with_record(finished, frozen_check=None)).frozen == ()


def test_nothing_is_said_where_nothing_was_fine_tuned(finished):
    assert facts(replace(finished, runs=())) is None


def test_fidelity_tells_the_hand_off_from_what_came_after_training(section):
    said = section("fidelity")
    assert "in two parts" in said
    assert said.index("After training") < said.index("Changed by training")
