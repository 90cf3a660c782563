from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cars_bench.backbones.catalogue import spec
from cars_bench.checksums import canonical
from cars_bench.data.policies import NAMED, policy
from cars_bench.errors import ModelMissing, RecordDamaged, UsageError
from cars_bench.finetune.plan import (
    RunPlan,
    Steering,
    begun,
    is_begun,
    last_plan,
    new_plan,
    planned,
    plans,
    read_plan,
    remembered,
    top_block,
)
from cars_bench.finetune.recipe import FinetuneOptions, Recipe
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace

PLAN = RunPlan(run="r", study="s", trial_id="t0000", recipe=Recipe(), asked=("--seed", "0"))


def test_a_plan_goes_to_disk_and_back(workspace: Workspace) -> None:
    steered = PLAN.steered(2, FinetuneOptions(learning_rate=1e-5))
    steered.write(workspace)
    assert read_plan(PLAN.folder(workspace)) == steered
    assert is_begun(workspace, PLAN)
    assert last_plan(workspace) == steered


def test_a_plan_that_is_missing_or_damaged(workspace: Workspace) -> None:
    folder = PLAN.folder(workspace)
    with pytest.raises(ModelMissing, match="no run"):
        read_plan(folder)
    PLAN.write(workspace)
    path = folder / "plan.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": "none"'))
    with pytest.raises(RecordDamaged, match=r"plan\.json is damaged: seed must be a whole number"):
        read_plan(folder)


def test_steering_holds_from_the_next_epoch_on_at_a_constant_rate() -> None:
    steered = PLAN.steered(2, FinetuneOptions(learning_rate=1e-5))
    change = Steering(from_epoch=3, learning_rate=1e-5, schedule="constant", epochs=30)
    assert steered.steering == (change,)
    assert steered.recipe.training.schedule.kind == "constant"
    assert PLAN.steered(2, FinetuneOptions()) is PLAN


def test_a_plan_tells_the_policy_that_it_was_begun_with(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("rotation_degrees: 5\n")
    recipe = Recipe(augment=str(path))
    plan = replace(PLAN, recipe=recipe, augmentation=canonical(policy(path).to_json()))
    path.unlink()
    assert plan.recorded_policy().rotation_degrees == 5.0
    with pytest.raises(UsageError, match="no augmentation policy"):
        replace(plan, augmentation="").recorded_policy()
    assert replace(PLAN, augmentation="").recorded_policy() is NAMED["default"]


def test_the_same_work_is_the_same_whatever_it_is_called() -> None:
    assert PLAN.same_work(replace(PLAN, run="other", asked=(), number=7))
    assert not PLAN.same_work(replace(PLAN, seed=1))


def test_a_policy_is_the_same_by_what_it_holds_wherever_its_file_lies() -> None:
    here, there = (
        replace(PLAN, recipe=Recipe(augment=f"/{place}/far.yml"), augmentation='{"flip":true}')
        for place in ("here", "there")
    )
    assert here.same_work(there)
    assert not here.same_work(replace(there, augmentation='{"flip":false}'))


def test_what_cannot_change_is_named() -> None:
    assert PLAN.unlike(FinetuneOptions(learning_rate=1e-5, epochs=9)) == []
    assert PLAN.unlike(FinetuneOptions(seed=1, live=True)) == ["--seed", "--live"]


@pytest.mark.parametrize("clock", [(3, 2, 1), (1, 2, 3), (2, 1, 3)])
def test_a_discarded_plan_leaves_the_one_begun_before_it_whatever_the_clock_says(
    workspace: Workspace, clock: tuple[int, ...]
) -> None:
    plans = [replace(PLAN, run=name, number=n) for n, name in enumerate(("b", "a", "c"), 1)]
    for plan, seconds in zip(plans, clock, strict=True):
        plan.write(workspace)
        os.utime(plan.folder(workspace) / "plan.json", (seconds, seconds))
    for plan, left in zip(reversed(plans), (plans[1], plans[0], None), strict=True):
        plan.discard(workspace)
        assert last_plan(workspace) == left


def test_a_new_plan_resolves_the_head_and_the_block_and_writes_nothing(
    tuned: Workspace, recipe: Path
) -> None:
    study = Study.open(tuned)
    plan = new_plan(tuned, FinetuneOptions())
    assert plan.recipe.unfreeze == "block3"
    assert plan.run == f"{plan.trial_id}-block3"
    assert plan.number == 1
    assert not begun(study)
    plan.write(tuned)
    second = new_plan(tuned, FinetuneOptions(seed=1))
    assert (second.run, second.number) == (f"{plan.run}-2", 2)
    assert planned(tuned, FinetuneOptions()) == plan
    assert list(plans(study)) == [plan]


def test_a_recipe_without_a_file_is_kept_with_its_run_and_asks_for_the_same(
    tuned: Workspace,
) -> None:
    plan = new_plan(tuned, FinetuneOptions(recipe=Recipe(views=5, augment="light")))
    plan.write(tuned)
    _, kept, *_ = plan.asked
    assert Path(kept).parent == plan.folder(tuned)
    assert planned(tuned, FinetuneOptions(recipe=kept, seed=plan.seed)) == plan


def test_a_policy_must_hold_what_it_held() -> None:
    assert PLAN.require_policy()
    with pytest.raises(UsageError, match="has changed since"):
        replace(PLAN, augmentation='{"flip":false}').require_policy()


@pytest.mark.parametrize("changes", [{"study": "../.."}, {"run": "../../x"}, {"run": ""}])
def test_a_plan_or_a_setting_never_leads_out_of_its_study(workspace, changes):
    plan = replace(PLAN, **changes)
    with pytest.raises(UsageError, match="cannot be named"):
        plan.write(workspace)
    workspace.remember("model", study=plan.study, run=plan.run)
    with pytest.raises(UsageError, match="cannot be named"):
        remembered(workspace, "model")


@pytest.mark.parametrize(
    ("boundary", "block"),
    [(None, "conv5"), ("conv4", "conv4"), ("conv4_block6", "conv4"), ("conv5_block2", "conv5")],
)
def test_what_is_unfrozen_by_default_lies_below_the_head(boundary, block):
    assert top_block(spec("resnet50"), boundary) == block


def test_a_discarded_plan_leaves_its_name_free(tuned: Workspace) -> None:
    options = FinetuneOptions(recipe=Recipe(views=5, augment="light"))
    plan = new_plan(tuned, options)
    plan.write(tuned)
    plan.discard(tuned)
    assert new_plan(tuned, options) == plan
