"""Which seed each training of a study uses."""

from __future__ import annotations

from cars_bench.tuning.study import Study

APART = 10_007


def trial_seed(study: Study) -> int:
    """The seed that every trial of a study is trained with."""
    return int(study.document["seed"] or 0)


def repeat_seed(study: Study, repeat: int) -> int:
    """The seed of a trial's repeat; `repeat` counts from 1."""
    return trial_seed(study) + APART * repeat
