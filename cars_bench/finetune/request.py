"""What `finetune` may be asked for at once, and the plan that this comes to."""

from __future__ import annotations

from cars_bench.errors import UsageError
from cars_bench.finetune.plan import RunPlan, is_begun, last_plan, planned
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.workspace import Workspace


def require_one_head(
    *,
    best: bool = False,
    trial: str | None = None,
    top: int | None = None,
    resume: bool = False,
    dry_run: bool = False,
    refit: str | None = None,
    time: str | None = None,
) -> bool:
    """Refuse what does not go together.

    Args:
        best: The winner of the study.
        trial: A trial's id.
        top: So many heads.
        resume: The run that was begun last.
        dry_run: Only show what would be trained.
        refit: `train+val`.
        time: What the run may take.

    Returns:
        Whether a head was named; else a run goes on.

    Raises:
        UsageError: Several heads or none, or options that exclude each other.
    """
    heads = sum((best, trial is not None, top is not None))
    if heads > 1 or (heads == 0 and not resume):
        raise UsageError("Say which head to finish.", "add one of --best, --trial ID, --top N")
    if dry_run and heads == 0:
        raise UsageError("--dry-run shows a run that is not begun.", "add --best or --trial ID")
    if top is not None and (resume or dry_run or refit):
        raise UsageError(
            "--top goes with neither --resume, --dry-run nor --refit.",
            "the same --top command again goes on where it stopped",
        )
    if top is not None and time is not None:
        raise UsageError(
            "--top finishes all heads alike, and --time would cut each to what fits it.",
            "give --top a number of --epochs instead",
        )
    if top is not None and top < 1:
        raise UsageError(f"--top {top} is less than 1.", "--top 5")
    if refit not in (None, "train+val"):
        raise UsageError(f"There is no refit {refit!r}.", "--refit train+val, or leave it out")
    return heads > 0


def plan_of(
    workspace: Workspace, options: FinetuneOptions, *, begin: bool, resume: bool
) -> RunPlan | None:
    """The plan of the run to begin, or of the earlier one that does what is asked, stored.

    Stored before Keras is even imported, so that a run killed from here on can be resumed.

    Args:
        workspace: Holds the study.
        options: What is asked for.
        begin: A head was named.
        resume: Go on with what was begun.

    Returns:
        `None` where the run that was begun last is to go on.

    Raises:
        As `plan.new_plan`.
    """
    plan = planned(workspace, options) if begin else None
    if plan and resume and not is_begun(workspace, plan) and last_plan(workspace):
        return None
    if plan:
        plan.write(workspace)
    return plan
