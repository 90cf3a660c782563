from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.evaluation.comparison import answers_changed
from cars_bench.evaluation.predictions import Prediction, Predictions
from cars_bench.finetune.gain import frozen_command, gain_in, gain_of
from cars_bench.finetune.runs import Run


def _answers(right: int, images: int = 30) -> Predictions:
    """The last `right` of the images named right."""
    return Predictions(
        tuple(
            Prediction(f"{n:03d}", "a", ("a",) if n >= images - right else ("b",), (1.0,))
            for n in range(images)
        )
    )


def _gain(before: int, after: int, split: str = "test"):
    return gain_in({("frozen", split): _answers(before), ("finetuned", split): _answers(after)})


@pytest.mark.parametrize(
    ("before", "after", "paid", "harmed", "recommended"),
    [
        (10, 20, True, False, "finetuned"),
        (10, 11, False, False, "frozen"),
        (10, 14, False, False, "frozen"),  # the bootstrap alone would be sure of it
        (10, 10, False, False, "frozen"),
        (20, 10, False, True, "frozen"),
    ],
)
def test_fine_tuning_has_paid_only_where_the_gain_is_settled(
    before, after, paid, harmed, recommended
):
    found = _gain(before, after)
    assert (found.paid, found.harmed, found.recommended) == (paid, harmed, recommended)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (10, 20, "Fine-tuning paid: +33.3 points on 30 test images (95% interval "),
        (20, 10, "Fine-tuning did harm: -33.3 points on 30 test images (95% interval "),
        (10, 14, "Fine-tuning did not pay: +13.3 points on 30 test images may be chance ("),
        (10, 10, "Fine-tuning did not pay: the same of 30 test images are named right."),
    ],
)
def test_one_sentence_says_what_decided_and_what_to_use(before, after, said):
    found = _gain(before, after)
    assert found.advice.startswith(said)
    use = "the fine-tuned model" if found.paid else "the frozen head"
    assert found.advice.endswith(f" Recommended: {use}.")
    assert ("McNemar's exact test p = " in found.advice) == (before != after)


def test_the_command_that_makes_a_frozen_head_a_model_can_be_pasted(
    finished_once: tuple[Path, Run],
) -> None:
    record = replace(finished_once[1].record, study="my study", trial_id="t0007")
    assert shlex.split(frozen_command(record)) == [
        "cars-bench", "finetune", "--trial", "t0007", "--unfreeze", "none", "--study", "my study",
    ]  # fmt: skip


def test_test_decides_where_it_was_read_and_else_validation():
    both = {
        (stage, split): _answers(10)
        for stage in ("frozen", "finetuned")
        for split in ("val", "test")
    }
    assert gain_in(both).split == "test"
    del both["finetuned", "test"]
    assert gain_in(both).split == "val"
    del both["frozen", "val"]
    assert gain_in(both) is None


def test_a_run_is_judged_by_its_own_tables(finished_once: tuple[Path, Run]) -> None:
    run = finished_once[1]
    found = gain_of(run)
    before = run.predictions("frozen", "test")
    after = run.predictions("finetuned", "test")
    assert (found.split, found.changed) == ("test", answers_changed(before, after))


def test_where_nothing_was_trained_nothing_was_gained(finished_once: tuple[Path, Run]) -> None:
    run = finished_once[1]
    assert gain_of(replace(run, record=replace(run.record, epochs=0))) is None
