"""What a run takes is told from one batch, and a budget cuts its plan to that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.errors import Interrupted, UsageError
from cars_bench.finetune import run as running
from cars_bench.finetune.budget import Budget
from cars_bench.finetune.cost import Pace, cut_to_budget, measure_pace
from cars_bench.finetune.plan import last_plan, new_plan, planned, plans
from cars_bench.finetune.prepared_run import RunSketch, sketch_run
from cars_bench.finetune.recipe import EarlyEpochs, FinetuneOptions, Recipe
from cars_bench.finetune.run import finetune, resume
from cars_bench.progress import Progress
from cars_bench.training.specs import TrainingSpec
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

PACE = Pace(
    extraction=(4.0, 6.0), batch=0.5, answer=0.1, whole=0.2, trained=36, validated=12, checked=48
)
ONE_EPOCH = 4.0 + 3 * 0.5 + 12 * 0.1 + 48 * 0.2


def sketch_of(workspace: Workspace, recipe: Path, **asked: object) -> RunSketch:
    return sketch_run(workspace, new_plan(workspace, FinetuneOptions(recipe=str(recipe), **asked)))


def test_a_cost_is_the_sum_of_its_parts():
    recipe = Recipe(views=2, training=TrainingSpec(batch_size=16, epochs=3))
    found = PACE.cost(recipe)
    assert found.seconds == pytest.approx(6.0 + 3 * (3 * 0.5 + 12 * 0.1) + 48 * 0.2)
    assert found.text == (
        "about 24 s: 6 s for activations of 2 views, 3 epochs of 2.7 s, 10 s for checks"
    )


@pytest.mark.parametrize(
    ("asked", "extracts", "trains"),
    [
        ({}, True, True),
        ({"live": True}, False, True),
        ({"unfreeze": "all"}, False, True),
        ({"unfreeze": "none"}, False, False),
    ],
)
def test_what_a_run_does_is_measured_and_nothing_is_written(tuned, recipe, asked, extracts, trains):
    before = set(tuned.root.rglob("*"))
    pace = measure_pace(sketch_of(tuned, recipe, **asked), Progress())
    assert set(tuned.root.rglob("*")) == before
    assert pace.whole > 0
    assert len(pace.extraction) == (2 if extracts else 0)
    assert list(pace.extraction) == sorted(pace.extraction)
    assert (pace.batch > 0, pace.answer > 0) == (trains, trains)
    assert (pace.trained, pace.validated) == ((36, 12) if trains else (0, 0))
    assert pace.checked == 3 * 12 + 12


def test_what_is_cached_already_costs_nothing(finished, recipe):
    pace = measure_pace(sketch_of(finished, recipe, seed=1, refit=True), Progress())
    assert pace.extraction == (0.0, 0.0)
    assert (pace.trained, pace.validated) == (48, 0)


def test_a_plan_without_a_budget_or_without_training_is_not_cut(tuned, recipe):
    free = sketch_of(tuned, recipe)
    assert cut_to_budget(free, PACE, Progress()) is free.plan
    still = sketch_of(tuned, recipe, unfreeze="none", time="1s")
    assert cut_to_budget(still, Pace(whole=1.0, checked=48), Progress()) is still.plan


def test_a_killed_run_goes_on_with_the_cut_plan_and_the_same_command_finds_it(
    tuned: Workspace, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "measure_pace", lambda *_: PACE)
    options = FinetuneOptions(recipe=str(recipe), time=f"{ONE_EPOCH + 4.8:.2f}s")
    honest = running.write_checkpoint

    def killed(*arguments: object) -> None:
        honest(*arguments)
        raise Interrupted("stopped")

    monkeypatch.setattr(running, "write_checkpoint", killed)
    with pytest.raises(Interrupted):
        finetune(tuned, options, Progress())
    monkeypatch.setattr(running, "write_checkpoint", honest)
    monkeypatch.setattr(running, "measure_pace", lambda *_: pytest.fail("it was cut already"))
    plan = last_plan(tuned)
    assert plan is not None
    assert (plan.recipe.training.epochs, plan.recipe.views) == (2, 2)
    assert plan.budget == Budget(seconds=round(ONE_EPOCH + 4.8, 2), asked=plan.uncut.recipe)
    assert planned(tuned, options) == plan
    assert planned(tuned, replace(options, time="1h")) != plan
    with pytest.raises(UsageError, match="begun without --time"):
        resume(tuned, FinetuneOptions(time="1h"), Progress())
    run = finetune(tuned, options, Progress())
    assert run.name == plan.run
    assert run.record.epochs == 2
    assert list(plans(Study.open(tuned))) == [plan]


def test_a_budget_that_is_too_small_leaves_no_plan(tuned, recipe, monkeypatch):
    monkeypatch.setattr(running, "measure_pace", lambda *_: PACE)
    with pytest.raises(UsageError, match="too little"):
        finetune(tuned, FinetuneOptions(recipe=str(recipe), time="9s"), Progress())
    assert last_plan(tuned) is None


def test_measuring_changes_nothing_of_what_is_trained(finished, finished_once, recipe):
    _, before = finished_once
    run = finetune(finished, FinetuneOptions(recipe=str(recipe), time="9h"), Progress())
    assert run.name != before.name
    one, other = (item.history() for item in (before, run))
    assert [row.train_loss for row in one] == pytest.approx([row.train_loss for row in other])


def test_epochs_on_small_images_are_counted_at_their_own_price():
    recipe = Recipe(
        views=2, early=EarlyEpochs(share=0.67), training=TrainingSpec(batch_size=16, epochs=3)
    )
    found = replace(PACE, early_batch=0.2).cost(recipe)
    assert found.seconds == pytest.approx(6.0 + 2 * (3 * 0.2 + 1.2) + (3 * 0.5 + 1.2) + 48 * 0.2)
    assert "2 epochs of 1.8 s, 1 epoch of 2.7 s" in found.text
    assert PACE.cost(recipe).early_epochs == 0  # images of one size


def test_epochs_on_small_images_are_measured(tuned: Workspace, recipe: Path) -> None:
    whole = sketch_of(tuned, recipe)
    early = replace(whole.recipe, early=EarlyEpochs(share=0.5))
    sketch = replace(whole, plan=replace(whole.plan, recipe=early))
    pace = measure_pace(sketch, Progress())
    assert pace.early_batch > 0
    assert pace.cost(early).early_epochs == early.early.count(early.training.epochs)
    assert measure_pace(whole, Progress()).early_batch == 0
