from __future__ import annotations

from dataclasses import replace

import pytest

from cars_bench.finetune.handoff import LARGEST_DIFFERENCE, WholeCheck
from cars_bench.reports.sections.fidelity import facts
from tests.reports.changes import with_record
from tests.reports.pages import page_of


def _by_name(checks):
    return {check.name: (check.value, check.limit, check.word) for check in checks}


def test_every_check_says_what_was_found_what_passes_and_whether_it_did(finished):
    found = facts(finished)
    assert found is not None
    assert _by_name(found.features) == {
        "Validation images computed again": ("18", "", "no limit"),
        "Largest difference of one number": ("0.0002", "", "no limit"),
        "Smallest cosine": ("0.999999", "above 0.9999 they count as unchanged", "unchanged"),
    }
    assert _by_name(found.handoff) == {
        "Largest difference of logits, through the extraction's own runtime": (
            "0.0012",
            "at most 0.01",
            "passed",
        ),
        "Same first answer, through the extraction's own runtime": ("100.00%", "100%", "passed"),
        "Same first answer, assembled float32 model": ("99.00%", "", "no limit"),
        "Assembled float32 model against the head on the cache": (
            "+0.0 points: 1 image of 18 lost, 1 won, McNemar's p = 1",
            "not more than 1 point lost, or p at least 0.05: what chance may lose is a warning",
            "passed",
        ),
    }
    assert found.frozen[0].value == "12"
    assert (found.frozen[-1].value, found.frozen[-1].word) == ("3", "passed")
    assert found.passed == len(found.judged) == 6


def test_the_words_are_those_of_the_rule_that_ends_a_run(finished):
    proof = replace(
        finished.run.record.handoff,
        max_abs_diff=LARGEST_DIFFERENCE * 1.01,
        top1_agreement=0.99,
        only_witness_right=2,
        only_assembled_right=1,
        p_value=1.0,
    )
    found = facts(with_record(finished, handoff=proof))
    assert [check.word for check in found.handoff] == [
        "did not pass",
        "did not pass",
        "no limit",
        "passed with a warning: more than a point was lost, as chance may",
    ]
    assert found.passed == len(found.judged) - 2
    worse = replace(proof, only_witness_right=9, only_assembled_right=0, p_value=0.0039)
    assert facts(with_record(finished, handoff=worse)).handoff[-1].word == "did not pass"


def test_features_that_changed_are_told_so_and_judged_by_what_the_head_makes_of_them(finished):
    proof = finished.run.record.handoff
    drift = replace(proof.features, min_cosine=0.99)
    found = facts(with_record(finished, handoff=replace(proof, features=drift)))
    assert found.features[-1].word == "changed"
    assert not found.features[-1].judged
    assert found.passed == len(found.judged) == 6


@pytest.mark.parametrize(("fall", "word"), [(0.01, "passed"), (0.02, "not tested")])
def test_a_run_that_was_proven_before_the_test_was_kept_says_so(finished, fall, word):
    proof = replace(
        finished.run.record.handoff,
        witness_top1=0.6,
        assembled_top1=0.6 - fall,
        only_witness_right=None,
        only_assembled_right=None,
        p_value=None,
    )
    found = facts(with_record(finished, handoff=proof)).handoff[-1]
    assert found.value == f"-{100 * fall:.1f} points"
    assert found.word.startswith(word)


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
        images=18,
        max_abs_diff=0.03,
        top1_agreement=0.95,
        trained_top1=0.8,
        whole_top1=0.79,
        only_trained_right=2,
        only_whole_right=1,
        p_value=1.0,
    )
    changed = with_record(finished, whole_check=check)
    found = _by_name(facts(changed).whole)
    assert found["Same first answer"] == ("95.00%", "", "no limit")
    value, _, word = found["Finished model against the part that was trained"]
    assert value == "-5.6 points: 2 images of 18 lost, 1 won, McNemar's p = 1"
    assert word.startswith("passed with a warning")
    page = page_of(changed)
    assert "the finished model against the part that was trained" in page


def test_what_was_not_checked_is_left_out(finished):
    assert facts(with_record(finished, frozen_check=None)).frozen == ()


def test_nothing_is_said_where_nothing_was_fine_tuned(finished):
    assert facts(replace(finished, runs=())) is None


def test_the_page_says_passed(section, finished):
    said = section("fidelity")
    assert "Yes: all 6 checks that have a limit passed" in said
    assert said.count("✓ passed") == 6
    proof = replace(finished.run.record.handoff, top1_agreement=0.99)
    changed = with_record(finished, handoff=proof)
    page = page_of(changed)
    assert "5 of the 6 checks that have a limit passed" in page
    assert "✕ did not pass" in page


def test_fidelity_tells_the_hand_off_from_what_came_after_training(section):
    said = section("fidelity")
    assert "in two parts" in said
    assert said.index("After training") < said.index("Changed by training")
