"""The least that an experiment's scores have to beat."""

from __future__ import annotations

from cars_bench.data.dataset import Dataset
from cars_bench.errors import InputError
from cars_bench.evaluation.majority import Majority, majority
from cars_bench.experiments.record import ExperimentRecord
from cars_bench.tuning.study import Study
from cars_bench.workspace import Workspace


def baseline(workspace: Workspace, record: ExperimentRecord) -> Majority | None:
    """What the most frequent class alone scores on the experiment's test images.

    Attempts share their pictures and splits, so that those of the first one tell it.

    Args:
        workspace: Holds the experiment's studies and datasets.
        record: What it came to.

    Returns:
        `None` before a first search ended, and where its study or its dataset was deleted since.

    Raises:
        RecordDamaged: One of them is not what was written.
    """
    study = next((item.study for item in record.attempts if item.study), "")
    if not study:
        return None
    try:
        name = Study.open(workspace, study).record.dataset.name
        return majority(Dataset.load(workspace, name).counts(), "test")
    except InputError:
        return None
