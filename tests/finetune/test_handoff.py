from __future__ import annotations

import numpy as np
import pytest

from cars_bench.errors import HandoffFailed
from cars_bench.finetune.handoff import (
    Drift,
    Handoff,
    check_whole,
    measure_handoff,
    require_handoff,
)

NO_DRIFT = Drift(1, 0.0, 1.0)
NAMES = ("a network", "a runtime in float32")
LABELS = np.arange(12) % 4
WITNESS = np.eye(4, dtype=np.float32)[LABELS]


def measured(recomputed: np.ndarray, assembled: np.ndarray, drift: Drift = NO_DRIFT) -> Handoff:
    """The proof of a head that got every image right on the cache."""
    return measure_handoff(WITNESS, LABELS, drift, recomputed=recomputed, assembled=assembled)


def test_what_stays_as_it_was_passes() -> None:
    found = measured(WITNESS, WITNESS)
    require_handoff(found, *NAMES)
    assert (found.max_abs_diff, found.top1_agreement, found.assembled_agreement) == (0.0, 1.0, 1.0)
    assert (found.witness_top1, found.assembled_top1) == (1.0, 1.0)


def test_a_wrong_head_stops_it() -> None:
    with pytest.raises(HandoffFailed, match=r"differ by up to 0\.02"):
        require_handoff(measured(WITNESS + np.float32(0.02), WITNESS), *NAMES)


@pytest.mark.parametrize(
    ("drift", "assembled_is_right", "cause"),
    [
        (NO_DRIFT, True, "the head's weights changed"),
        (Drift(1, 1.0, 0.9), True, "a runtime in float32 is not what it was"),
        (Drift(1, 1.0, 0.9), False, "the image size or the weights"),
    ],
)
def test_the_likeliest_cause_is_named(drift: Drift, assembled_is_right: bool, cause: str) -> None:
    assembled = WITNESS if assembled_is_right else -WITNESS
    with pytest.raises(HandoffFailed, match=cause):
        require_handoff(measured(-WITNESS, assembled, drift), *NAMES)


def test_a_fall_of_more_than_one_point_stops_it() -> None:
    with pytest.raises(HandoffFailed, match="less accurate"):
        require_handoff(measured(WITNESS, -WITNESS), *NAMES)


def test_a_finished_model_that_answers_otherwise_than_its_trained_part_is_refused() -> None:
    trained = np.eye(4, dtype=np.float32)
    labels = np.arange(4)
    found = check_whole(trained, trained + np.float32(0.001), labels)
    assert (found.top1_agreement, found.trained_top1, found.whole_top1) == (1.0, 1.0, 1.0)
    assert found.max_abs_diff == pytest.approx(0.001, rel=1e-3)
    with pytest.raises(HandoffFailed, match=r"25\.0% less accurate"):
        check_whole(trained, trained[[0, 1, 2, 0]], labels)
