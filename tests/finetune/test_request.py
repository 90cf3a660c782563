"""What `finetune` may be asked for at once, and which run that begins or goes on with."""

from __future__ import annotations

import pytest

from cars_bench.errors import UsageError
from cars_bench.finetune.plan import is_begun
from cars_bench.finetune.recipe import FinetuneOptions
from cars_bench.finetune.request import plan_of, require_one_head


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ({"best": True}, True),
        ({"trial": "t0000"}, True),
        ({"top": 3}, True),
        ({"resume": True}, False),
    ],
)
def test_one_head_or_a_run_that_goes_on(options, begins):
    assert require_one_head(**options) is begins


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"best": True, "top": 3},
        {"resume": True, "dry_run": True},
        {"top": 3, "refit": "train+val"},
        {"top": 0},
        {"top": 3, "time": "20m"},
        {"best": True, "refit": "val"},
    ],
)
def test_what_does_not_go_together_is_refused(options):
    with pytest.raises(UsageError):
        require_one_head(**options)


def test_a_plan_is_stored_before_anything_is_trained(tuned):
    plan = plan_of(tuned, FinetuneOptions(), begin=True, resume=False)
    assert is_begun(tuned, plan)
    assert plan_of(tuned, FinetuneOptions(), begin=False, resume=True) is None
    other = FinetuneOptions(seed=3)
    assert plan_of(tuned, other, begin=True, resume=True) is None
    assert plan_of(tuned, FinetuneOptions(), begin=True, resume=True) == plan
