"""An attempt that takes a former one's winner, once that is known."""

from __future__ import annotations

from dataclasses import replace

from cars_bench.errors import ModelMissing, WeightsUnavailable
from cars_bench.experiments.experiment import Planned
from cars_bench.experiments.record import ExperimentRecord
from cars_bench.experiments.winner_space import winner_space
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace


def with_winner(workspace: Workspace, record: ExperimentRecord, wanted: Planned) -> Planned:
    """The attempt with the winner's head and training as its space; any other as it is.

    Args:
        workspace: Holds the former attempt's study.
        record: Says which trial won it.
        wanted: The attempt as its config says it.

    Raises:
        ModelMissing: The former search has not ended.
        WeightsUnavailable: It was passed over.
    """
    if not wanted.winner_of:
        return wanted
    former = record.attempt(wanted.winner_of)
    if former and former.lacking:
        raise WeightsUnavailable(f"It takes the winner of {former.name}: {former.lacking}")
    if not former or not former.trial_id:
        raise ModelMissing(
            f"{wanted.name} takes the winner of {wanted.winner_of}, which has not ended.",
            f"ask for both: --only {wanted.winner_of} --only {wanted.name}",
        )
    trial = Study.open(workspace, former.study).trial(former.trial_id)
    assert trial.head is not None
    assert trial.training is not None
    return replace(wanted, space=winner_space(wanted.space, trial.head, trial.training))
