"""A fine-tuning run as data: what was asked for, resolved and stored before anything is spent.

The plan is written first and the run's record last: a run's folder that holds
only the first is unfinished and can be resumed.  Keras is not imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from cars_bench.atomic import write_text
from cars_bench.backbones.catalogue import BackboneSpec, spec
from cars_bench.cache.manifest import read_manifest
from cars_bench.checksums import canonical
from cars_bench.data.policies import Policy, policy
from cars_bench.documents import read_record, to_json, write_record
from cars_bench.errors import CacheMissing, CarsBenchError, ModelMissing, UsageError
from cars_bench.finetune.budget import Budget, budget_of
from cars_bench.finetune.recipe import DEFAULT, NOTHING, RECIPE_FILE, FinetuneOptions, Recipe
from cars_bench.tuning.leaderboard import best_trial
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace, named

PLAN_FILE = "plan.json"
FINAL = "final"
"""Folder of a study's runs."""
CONSTANT = "constant"
BOTH = ("val", "test")


@dataclass(frozen=True, kw_only=True)
class Steering:
    """A change made by hand when a run was resumed.

    Attributes:
        from_epoch: First epoch that it holds for, from 1.
        learning_rate: New peak rate.
        schedule: New kind of schedule.
        epochs: New upper bound on the epochs.
    """

    from_epoch: int
    learning_rate: float
    schedule: str
    epochs: int


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """All that decides what a run does.

    Attributes:
        run: Folder name under `tuning/STUDY/final/`.
        study: Name of the study.
        trial_id: The head that is finished.
        recipe: How, resolved.
        warm_up: Start from the trained head.
        refit: Train on train and validation images together.
        seed: Of the order, the views and a fresh head.
        splits: Which ones are measured at the end.
        steering: Changes made by hand since.
        asked: The command line's words for all of it but study and trial.
        augmentation: What the recipe's policy holds, as canonical JSON.
        number: Of the run among those of its study, in the order in which they were begun.
        budget: What it may take; `None` is as long as the recipe takes.
        purpose: What it measures, where it is no model of the user's: `fidelity`.
    """

    run: str
    study: str
    trial_id: str
    recipe: Recipe
    warm_up: bool = True
    refit: bool = False
    seed: int = 0
    splits: tuple[str, ...] = BOTH
    steering: tuple[Steering, ...] = ()
    asked: tuple[str, ...] = ()
    augmentation: str = ""
    number: int = 0
    budget: Budget | None = None
    purpose: str = ""

    def folder(self, workspace: Workspace) -> Path:
        """Where its files are."""
        return run_folder(workspace, self.study, self.run)

    def write(self, workspace: Workspace) -> None:
        """Store the plan, and make it the one that `--resume` goes on with."""
        folder = self.folder(workspace)
        own = folder / RECIPE_FILE
        if str(own) in self.asked:
            write_text(own, yaml.safe_dump(to_json(self.uncut.recipe), sort_keys=False))
        write_record(folder / PLAN_FILE, self)
        if not self.purpose:
            workspace.remember("finetune", study=self.study, run=self.run)

    def discard(self, workspace: Workspace) -> None:
        """Forget a plan that came to nothing; `--resume` falls back on the run begun before it."""
        for name in (PLAN_FILE, RECIPE_FILE):  # what `write` wrote, so its name is free again
            (self.folder(workspace) / name).unlink(missing_ok=True)
        if self.purpose:
            return
        own = filter(is_own, _begun(workspace.study(self.study)))
        before = max(own, key=_number, default=None)
        run = before.name if before else None
        workspace.remember("finetune", study=self.study if run else None, run=run)

    def require_policy(self) -> Policy:
        """The augmentation policy, which must hold what it held when the run was begun.

        Raises:
            UsageError: It is a file, and the file has changed since.
        """
        name = self.recipe.augment
        found = policy(name)
        if self.augmentation not in ("", canonical(found.to_json())):
            raise UsageError(
                f"The augmentation policy {name} has changed since the run {self.run!r} was begun.",
                f"put back {self.augmentation}, or begin another run",
            )
        return found

    def recorded_policy(self) -> Policy:
        """The augmentation policy as it was when the run was begun, whatever its file holds now.

        Raises:
            UsageError: The plan is so old that it does not say, and the file is gone.
        """
        name = self.recipe.augment
        return Policy.recorded(name, self.augmentation) if self.augmentation else policy(name)

    def same_work(self, other: RunPlan) -> bool:
        """Whether both would train the same, whatever they are called.

        A policy counts by what it holds: its file may have been moved, or have changed.
        What was cut to a budget counts as it was asked for.
        """
        mine, theirs = self.uncut, other.uncut
        recipe = replace(theirs.recipe, augment=mine.recipe.augment)
        alike = replace(theirs, run=self.run, asked=self.asked, number=self.number, recipe=recipe)
        return alike == mine

    @property
    def uncut(self) -> RunPlan:
        """The plan before epochs and views were cut to its budget."""
        if self.budget is None or self.budget.asked is None:
            return self
        return replace(self, recipe=self.budget.asked, budget=replace(self.budget, asked=None))

    def cut(self, recipe: Recipe) -> RunPlan:
        """The plan with what its budget allows of its recipe."""
        budget = self.budget and replace(self.budget, asked=self.recipe)
        return replace(self, recipe=recipe, budget=budget)

    def unlike(self, options: FinetuneOptions) -> list[str]:
        """Options that the run was not begun with, and that nothing can change on the way."""
        words = dict(zip(self.asked, self.asked[1:], strict=False))
        begun_and_asked = {
            "--trial": (self.trial_id, options.trial),
            "--study": (self.study, options.study),
            "--recipe": (words.get("--recipe", DEFAULT), options.recipe),
            "--unfreeze": (self.recipe.unfreeze, options.unfreeze),
            "--seed": (self.seed, options.seed or None),
            "--live": (self.recipe.live, options.live or None),
            "--no-warm-up": (not self.warm_up, not options.warm_up or None),
            "--refit": (self.refit, options.refit or None),
            "--time": (self.uncut.budget, budget_of(options)),
        }
        return [
            name
            for name, (begun, asked) in begun_and_asked.items()
            if asked not in (None, begun, DEFAULT)
        ]

    def steered(self, done: int, options: FinetuneOptions) -> RunPlan:
        """The plan changed by what `--resume` was given beside it, from epoch `done + 1` on.

        A new rate is constant unless a schedule is named with it.
        """
        asked = (options.learning_rate, options.schedule, options.epochs)
        if all(item is None for item in asked):
            return self
        kind = options.schedule or (CONSTANT if options.learning_rate is not None else None)
        training = replace(options, schedule=kind).steered(self.recipe.training)
        change = Steering(
            from_epoch=done + 1,
            learning_rate=training.learning_rate,
            schedule=training.schedule.kind,
            epochs=training.epochs,
        )
        recipe = replace(self.recipe, training=training)
        return replace(self, recipe=recipe, steering=(*self.steering, change))


def planned(
    workspace: Workspace,
    options: FinetuneOptions,
    splits: tuple[str, ...] = BOTH,
    purpose: str = "",
) -> RunPlan:
    """The plan of an earlier run that does what is asked, finished or not, or a new one.

    So the same command again goes on where it was stopped, also where the policy's file was
    moved since.

    Raises:
        As `new_plan`.
    """
    wanted = replace(new_plan(workspace, options, purpose), splits=splits)
    known = plans(Study.open(workspace, options.study))
    same = next((plan for plan in known if plan.same_work(wanted)), wanted)
    return replace(same, recipe=replace(same.recipe, augment=wanted.recipe.augment))


def new_plan(workspace: Workspace, options: FinetuneOptions, purpose: str = "") -> RunPlan:
    """Resolve what was asked for; nothing is written.

    Raises:
        StudyMissing: There is no such study or trial.
        UsageError: The recipe makes no sense.
    """
    study = Study.open(workspace, options.study)
    recipe = resolved_recipe(
        options, spec(study.record.features.backbone), _boundary(workspace, study)
    )
    trial = study.trial(options.trial) if options.trial else best_trial(study)
    words = "-".join(filter(None, (purpose, trial.trial_id, recipe.unfreeze)))
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", words)[:100]
    plan = RunPlan(
        run=stem,
        study=study.name,
        trial_id=trial.trial_id,
        recipe=recipe,
        warm_up=options.warm_up,
        refit=options.refit,
        seed=options.seed,
        augmentation=canonical(policy(recipe.augment).to_json()),
        number=1 + max(map(_number, begun(study)), default=0),
        budget=budget_of(options),
        purpose=purpose,
    )
    final = study.folder / FINAL
    taken = {path.parent.name for path in final.glob("*/[!.]*")}
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    run = next(name for name in (stem, *numbered) if name not in taken)
    return replace(plan, run=run, asked=options.words(final / run / RECIPE_FILE))


def resolved_recipe(
    options: FinetuneOptions, backbone: BackboneSpec, boundary: str | None
) -> Recipe:
    """The recipe that is asked for, with a block of this backbone.

    Args:
        options: What was asked for.
        backbone: Below the head.
        boundary: The block whose maps the head was tuned on; `None` of the last one.

    Raises:
        UsageError: The recipe makes no sense.
    """
    recipe = _unfreezing(options.resolved(), backbone, top_block(backbone, boundary), options)
    if recipe.unfreeze == NOTHING and (options.refit or not options.warm_up):
        raise UsageError(
            "--unfreeze none trains nothing, so it goes with neither --refit nor --no-warm-up.",
            "name a block, or leave the other out",
        )
    return recipe


def _boundary(workspace: Workspace, study: Study) -> str | None:
    """The block whose maps the heads were tuned on; `None` of the last one, or without the cache.

    That the cache is gone is said when it is opened.
    """
    try:
        return read_manifest(workspace.features / study.cache_key).recipe.boundary
    except CacheMissing:
        return None


def top_block(backbone: BackboneSpec, boundary: str | None) -> str:
    """The backbone's own default, or the block below the head where that lies lower."""
    if boundary is None:
        return backbone.default_unfreeze
    stages = [stage for stage in backbone.blocks if boundary.startswith(stage)]
    stage = max(stages, key=len, default=boundary)
    above = backbone.blocks[backbone.blocks.index(backbone.default_unfreeze) :]
    return backbone.default_unfreeze if stage in above else stage


def _unfreezing(
    recipe: Recipe, backbone: BackboneSpec, top: str, options: FinetuneOptions
) -> Recipe:
    """The recipe with a block of this backbone: below a network from scratch there is none.

    Args:
        recipe: As asked for.
        backbone: Below the head.
        top: The block that is unfrozen unless told otherwise.
        options: What was asked for.

    Raises:
        UsageError: A block of a picture was asked for.
    """
    if not backbone.is_network:
        if options.unfreeze not in (None, DEFAULT, NOTHING):
            raise UsageError(
                f"--unfreeze {options.unfreeze}: below a network from scratch there is only the "
                "picture, and nothing to unfreeze.",
                "leave out --unfreeze",
            )
        return replace(recipe, unfreeze=NOTHING)
    if recipe.unfreeze == DEFAULT:
        return replace(recipe, unfreeze=top)
    return recipe


def read_plan(folder: Path) -> RunPlan:
    """Read a stored plan.

    Raises:
        ModelMissing: There is none.
        RecordDamaged: It was edited or damaged.
    """
    missing = ModelMissing(f"There is no run in {folder}.", "cars-bench finetune --best")
    return read_record(folder / PLAN_FILE, RunPlan, missing, f"delete {folder}")


def plans(study: Study) -> Iterator[RunPlan]:
    """The plans of a study's runs, finished or not."""
    return map(read_plan, begun(study))


def begun(study: Study) -> list[Path]:
    """Folders of a study's runs, finished or not, by name."""
    return _begun(study.folder)


def begun_seconds(folder: Path) -> float:
    """When a run's plan was written, in seconds since 1970."""
    return (folder / PLAN_FILE).stat().st_mtime


def _begun(study_folder: Path) -> list[Path]:
    return [path.parent for path in sorted(study_folder.glob(f"{FINAL}/*/{PLAN_FILE}"))]


def is_own(folder: Path) -> bool:
    """Whether a run is to be a model of the user's, or measures something; a doubt is his."""
    plan = _readable(folder)
    return plan is None or not plan.purpose


def _number(folder: Path) -> int:
    """As how many-th a run was begun; 0 where its plan does not say, or cannot be read."""
    plan = _readable(folder)
    return plan.number if plan else 0


def _readable(folder: Path) -> RunPlan | None:
    try:
        return read_plan(folder)
    except CarsBenchError:  # said when the plan itself is asked for
        return None


def last_plan(workspace: Workspace) -> RunPlan | None:
    """The run that was begun last, finished or not."""
    folder = remembered(workspace, "finetune")
    return read_plan(folder) if folder and (folder / PLAN_FILE).is_file() else None


def remembered(workspace: Workspace, stage: str) -> Path | None:
    """Folder of the run that the settings name for `finetune` or `model`, if any."""
    last = workspace.settings().get(stage, {})
    if not {"study", "run"} <= set(last):
        return None
    return run_folder(workspace, last["study"], last["run"])


def run_folder(workspace: Workspace, study: str, run: str) -> Path:
    """Folder of a study's run, begun or not.

    Raises:
        UsageError: Study or run cannot be called so.
    """
    return named(workspace.study(study) / FINAL, "run", run)


def is_begun(workspace: Workspace, plan: RunPlan) -> bool:
    """Whether its plan is stored."""
    return (plan.folder(workspace) / PLAN_FILE).is_file()
